// Tells ThreadSanitizer how gRPC hands a call from one thread to another. Debian builds gRPC
// without the sanitizer, so that whatever a callback touches looks like a race with the thread that
// started the call. Every batch of a call is started by grpc_call_start_batch, which this file
// stands before (a program's own symbol comes before a library's), and ends in one of two
// callbacks: what was done before the start is seen by the callback.
//
// What remains are accesses within gRPC and its libraries, in functions that they call of ours
// (malloc, delete) or in gRPC's inline code: those reports are left out, by name.

#include <dlfcn.h>
#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>

extern "C" {

const char* __tsan_default_suppressions() {
  return "called_from_lib:libgrpc.so\n"
         "called_from_lib:libgrpc++.so\n"
         "called_from_lib:libgpr.so\n"
         "called_from_lib:libupb.so\n"
         "called_from_lib:libcrypto.so\n"
         "called_from_lib:libssl.so\n"
         "called_from_lib:libabsl_strings.so\n"
         "called_from_lib:libabsl_status.so\n"
         "called_from_lib:libabsl_cord.so\n"
         "called_from_lib:libabsl_cord_internal.so\n"
         "called_from_lib:libabsl_time_zone.so\n"
         "called_from_lib:libabsl_graphcycles_internal.so\n"
         "race:grpc::internal::\n"
         "race:grpc_core::\n"
         "race:libgrpc.so\n"
         // gRPC calls them from a queue of its own.
         "race:OnCancel\n"
         "race:OnDone\n"
         // Its own threads may be there when a program ends.
         "thread:grpc_core::Thread\n";
}

using Functor = grpc_completion_queue_functor;

// CallbackWithSuccessTag::StaticRun and CallbackWithStatusTag::StaticRun, private members.
__attribute__((weak)) void RunSuccess(Functor* functor, int ok) __asm__(
    "_ZN4grpc8internal22CallbackWithSuccessTag9StaticRunEP29grpc_completion_queue_functori");
__attribute__((weak)) void RunStatus(Functor* functor, int ok) __asm__(
    "_ZN4grpc8internal21CallbackWithStatusTag9StaticRunEP29grpc_completion_queue_functori");

static void AcquireAndRunSuccess(Functor* functor, int ok) {
  __tsan_acquire(functor);
  RunSuccess(functor, ok);
}
static void AcquireAndRunStatus(Functor* functor, int ok) {
  __tsan_acquire(functor);
  RunStatus(functor, ok);
}

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count, void* tag,
                                      void* reserved) {
  using StartBatch = grpc_call_error (*)(grpc_call*, const grpc_op*, size_t, void*, void*);
  static const auto start = reinterpret_cast<StartBatch>(dlsym(RTLD_NEXT, "grpc_call_start_batch"));
  // Tags of other queues are objects that begin with something else.
  Functor* functor = static_cast<Functor*>(tag);
  if (functor != nullptr && functor->functor_run != nullptr) {
    if (functor->functor_run == RunSuccess) functor->functor_run = AcquireAndRunSuccess;
    if (functor->functor_run == RunStatus) functor->functor_run = AcquireAndRunStatus;
    __tsan_release(functor);
  }
  return start(call, ops, count, tag, reserved);
}

}  // extern "C"
