// The local engine: one GGUF model, its threads, and the sessions that share them.
//
//   auto engine = Engine::Open("smollm2-135m-instruct-q4_1.gguf", {});
//   auto session = (*engine)->NewSession();
//   auto ids = (*engine)->TokenizeChat({{"user", "What is 2 + 2?"}});
//   (*session)->Generate({.prompt = *ids}, sink);
//
// Thread-safety: all methods are thread-safe; the engine outlives its sessions (they hold it).
//
// Letting go of the last handle, the engine's or a session's, waits until the scheduler thread has
// made its last call of a sink or an observer: so that nothing is called that may be gone. Do not
// let go of it while holding a lock that a sink takes. From a sink itself it may be done; there it
// waits for no call. It also waits until a packed cache file (EngineOptions) that is being written
// is whole.
// Held by tests/local_engine/engine_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_ENGINE_H_
#define NEARFAR_LOCAL_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/engine_stats.h"
#include "local_engine/session.h"
#include "local_engine/token.h"

namespace nearfar {

struct EngineOptions {
  // 0 = one per core that this process may use and that is not much slower than the fastest, within
  // its CPU quota. At most kMostThreads.
  int threads = 0;
  // KV positions of a session; 0 = min(model's own, 4096), or as many of them, at least 512, as
  // max_memory_bytes allows.
  int context_tokens = 0;
  int max_sessions = 4;     // live sessions; NewSession fails beyond
  int prefill_chunk = 128;  // prompt tokens computed in one pass, so that other sessions get a turn
  // Most that activations and the KV caches of max_sessions full sessions may come to hold; the
  // weights are not counted. 0 = what the weights leave of 80 % of the machine's memory, or of what
  // the control group leaves of it, where that is known.
  int64_t max_memory_bytes = 0;
  // How keys and values are kept: "f16", or "q8_0" (int8 with a scale for 32 numbers) in about half
  // the memory.
  std::string kv_type = "f16";
  // Keep the weights as the kernels read them in a file beside the model's, ".packed" behind its
  // name and about as large, so that the next start need not pack them. Written by the first start,
  // in the background; without leave or room to write it nothing is lost but time.
  bool packed_cache = true;
  // For a device that may not grow hot, or whose battery is small: the most tokens per second that
  // all sessions together generate; 0 = no limit. What waits is the next token of answers that have
  // begun; prompts, and with them every first token, are computed as fast as can be.
  double max_tokens_per_second = 0;
  // Degrees Celsius of the CPU at which half of the threads stop working, and half of the rest if
  // it stays as hot for five seconds; they come back one such step at a time, after ten seconds at
  // five degrees less. Packing at a start without the packed cache is not held. 0 = none, at most
  // kMostCelsius. Where no thermometer can be read Open fails:
  // a limit that cannot be kept is not taken.
  double max_temperature = 0;

  // Bounds of `threads` and `max_temperature`.
  static constexpr int kMostThreads = 512;
  static constexpr double kMostCelsius = 150;
  // The most that a program need take for max_tokens_per_second: no machine is as fast.
  static constexpr double kMostTokensPerSecond = 1e6;
  // Name of a kernel table ("scalar", "avx2", "neon", "reference"); empty = the environment's
  // NEARFAR_KERNELS, or else the best that this CPU supports.
  std::string kernels = {};
  // Called on the scheduler thread before each layer is computed, of Logits too; for tests and
  // tracing. May cancel sessions, must not block.
  std::function<void(int layer)> layer_observer = {};
};

struct ModelInfo {
  std::string path;
  std::string name;          // general.name of the file, or its file name
  std::string architecture;  // "llama", "qwen2"
  std::string quantization;  // the type that most weights have, e.g. "Q4_1"
  std::string fingerprint;  // SHA-256 (hex) of header, metadata, tensor table, sampled blocks, size
  std::string template_name;  // chat template in use, e.g. "chatml"
  std::string template_hash;  // SHA-256 (hex) of the file's own template text
  std::string kernels;        // name of the kernel table in use
  // Of keys and values: "f16" or "q8_0".
  std::string kv_type = "f16";
  int64_t parameters = 0;
  int64_t file_bytes = 0;
  // What computing one token takes (speed.h): bytes of all matrices as the kernels read them, but
  // of an embedding that is not the output too, which gives one row; their elements, those of the
  // output apart; bytes of keys and values of one position.
  int64_t weight_bytes = 0;
  int64_t layer_weights = 0;
  int64_t output_weights = 0;
  int64_t kv_bytes_per_position = 0;
  int context_tokens = 0;  // of a session
  int trained_context_tokens = 0;
  int vocabulary = 0;
  int longest_token_bytes = 0;  // of the text that one token says
  int layers = 0;
  int threads = 0;
};

// One turn of a conversation. role: "system", "user", "assistant", "tool".
struct ChatTurn {
  std::string role;
  std::string content;
};

class Engine {
 public:
  // Maps and checks the file, packs its weights for the kernels, or finds them packed, and starts
  // the threads.
  // Errors: NotFound, InvalidArgument (not a GGUF file, or a lying one: the message names the byte
  // offset and the field), Unimplemented (an architecture, tensor, tensor type or tokenizer not
  // known here), FailedPrecondition (max_temperature, but no thermometer), ResourceExhausted
  // (max_memory_bytes: the message says what to lower; weights that are larger than the memory; no
  // memory, or no more threads), Unavailable (the file was written to meanwhile).
  static absl::StatusOr<std::shared_ptr<Engine>> Open(const std::string& path,
                                                      const EngineOptions& options);
  // Whether EngineOptions::kernels may be `name` here. Errors: those of Open for such a name.
  static absl::Status CheckKernels(const std::string& name);
  // The same of EngineOptions::kv_type.
  static absl::Status CheckKvType(const std::string& name);
  virtual ~Engine() = default;

  virtual const ModelInfo& info() const = 0;
  virtual EngineStats stats() const = 0;

  // Ids of `text`. Special-token text such as "<|im_start|>" is plain text unless parse_special.
  virtual std::vector<int32_t> Tokenize(std::string_view text,
                                        bool parse_special = false) const = 0;
  // Bytes of `ids`; special tokens give nothing.
  virtual std::string Detokenize(absl::Span<const int32_t> ids) const = 0;

  // Ids of a conversation in the model's chat template, ready for the assistant to speak. If
  // `assistant_prefix` is not empty the answer continues from it. Special-token text inside a turn
  // stays plain text. Errors: InvalidArgument (unknown role, no turn).
  virtual absl::StatusOr<std::vector<int32_t>> TokenizeChat(
      absl::Span<const ChatTurn> turns, std::string_view assistant_prefix = {}) const = 0;

  // Errors: ResourceExhausted when max_sessions are live, or as many that are gone wait for the
  // layer in work.
  virtual absl::StatusOr<std::unique_ptr<Session>> NewSession() = 0;

  // Logits after each of `ids` from an empty context: [ids.size(), vocabulary], row-major. For
  // evaluation and tests; runs on the scheduler between generations and blocks the caller. Errors:
  // InvalidArgument (no id, or one outside the vocabulary), OutOfRange (more than the context),
  // ResourceExhausted (no memory), FailedPrecondition (called from a sink).
  virtual absl::StatusOr<std::vector<float>> Logits(absl::Span<const int32_t> ids) = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_ENGINE_H_
