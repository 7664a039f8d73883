// Tells ThreadSanitizer of abseil's locks. Debian builds abseil without the sanitizer, so that it
// sees neither Mutex nor Notification order anything and reports each use as a race. The linker
// sends our calls of the functions below through these wrappers (--wrap, in NearfarSettings.cmake);
// built into every program, and only where NEARFAR_SANITIZE has "thread".

#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

// The symbol of a member function and of its wrapper; Debian's abseil lives in absl::debian3.
#define NEARFAR_WRAPPED(name) __wrap_##name
#define NEARFAR_REAL(name) __real_##name

extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

// While it blocks or unlocks, abseil evaluates the conditions of other threads that wait, under the
// lock; those reads come behind our Release and would look like races.
class IgnoreReads {
 public:
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

// What was done before release(p) is seen after acquire(p).
void Acquire(const void* lock) { __tsan_acquire(const_cast<void*>(lock)); }
void Release(const void* lock) { __tsan_release(const_cast<void*>(lock)); }

}  // namespace

extern "C" {

// void Mutex::Lock()
void NEARFAR_REAL(_ZN4absl7debian35Mutex4LockEv)(absl::Mutex* mutex);
void NEARFAR_WRAPPED(_ZN4absl7debian35Mutex4LockEv)(absl::Mutex* mutex) {
  const IgnoreReads ignore;
  NEARFAR_REAL(_ZN4absl7debian35Mutex4LockEv)(mutex);
  Acquire(mutex);
}

// void Mutex::Unlock()
void NEARFAR_REAL(_ZN4absl7debian35Mutex6UnlockEv)(absl::Mutex* mutex);
void NEARFAR_WRAPPED(_ZN4absl7debian35Mutex6UnlockEv)(absl::Mutex* mutex) {
  Release(mutex);
  const IgnoreReads ignore;
  NEARFAR_REAL(_ZN4absl7debian35Mutex6UnlockEv)(mutex);
}

// void Mutex::Await(const Condition&)
void NEARFAR_REAL(_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE)(absl::Mutex* mutex,
                                                                  const absl::Condition& until);
void NEARFAR_WRAPPED(_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE)(absl::Mutex* mutex,
                                                                     const absl::Condition& until) {
  Release(mutex);
  const IgnoreReads ignore;
  NEARFAR_REAL(_ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE)(mutex, until);
  Acquire(mutex);
}

// void Mutex::LockWhen(const Condition&)
void NEARFAR_REAL(_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE)(absl::Mutex* mutex,
                                                                     const absl::Condition& when);
void NEARFAR_WRAPPED(_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE)(
    absl::Mutex* mutex, const absl::Condition& when) {
  const IgnoreReads ignore;
  NEARFAR_REAL(_ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE)(mutex, when);
  Acquire(mutex);
}

// bool CondVar::WaitWithDeadline(Mutex*, Time)
bool NEARFAR_REAL(_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)(
    absl::CondVar* condition, absl::Mutex* mutex, absl::Time deadline);
bool NEARFAR_WRAPPED(_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)(
    absl::CondVar* condition, absl::Mutex* mutex, absl::Time deadline) {
  Release(mutex);
  const IgnoreReads ignore;
  const bool late = NEARFAR_REAL(_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE)(
      condition, mutex, deadline);
  Acquire(mutex);
  return late;
}

// void CondVar::Wait(Mutex*)
void NEARFAR_REAL(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(absl::CondVar* condition,
                                                              absl::Mutex* mutex);
void NEARFAR_WRAPPED(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(absl::CondVar* condition,
                                                                 absl::Mutex* mutex) {
  Release(mutex);
  const IgnoreReads ignore;
  NEARFAR_REAL(_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE)(condition, mutex);
  Acquire(mutex);
}

// void Notification::Notify()
void NEARFAR_REAL(_ZN4absl7debian312Notification6NotifyEv)(absl::Notification* notification);
void NEARFAR_WRAPPED(_ZN4absl7debian312Notification6NotifyEv)(absl::Notification* notification) {
  Release(notification);
  NEARFAR_REAL(_ZN4absl7debian312Notification6NotifyEv)(notification);
}

// void Notification::WaitForNotification() const
void NEARFAR_REAL(_ZNK4absl7debian312Notification19WaitForNotificationEv)(
    const absl::Notification* notification);
void NEARFAR_WRAPPED(_ZNK4absl7debian312Notification19WaitForNotificationEv)(
    const absl::Notification* notification) {
  NEARFAR_REAL(_ZNK4absl7debian312Notification19WaitForNotificationEv)(notification);
  Acquire(notification);
}

// bool Notification::WaitForNotificationWithTimeout(Duration) const
bool NEARFAR_REAL(_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(
    const absl::Notification* notification, absl::Duration timeout);
bool NEARFAR_WRAPPED(
    _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(
    const absl::Notification* notification, absl::Duration timeout) {
  const bool notified =
      NEARFAR_REAL(_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)(
          notification, timeout);
  if (notified) Acquire(notification);
  return notified;
}

}  // extern "C"
