// The packed weights in a file beside the model's, so that the next start need not pack them.
//
//   0        header: which layout, which model file, and a digest of samples of the weights
//   2 MiB    the weights, as PackWeights lays them; up to the file's end
//
// The space between is a hole, and takes none on the disk. The weights are used where they are
// mapped, at once; as a token is faster by a fifth where they are in huge pages, they are moved
// there in the background (cache_worker.h).
//
// A cache is only ever a shorter way: whatever is wrong with it, the model is packed anew.
// Held by tests/local_engine/model/packed_cache_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_PACKED_CACHE_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_PACKED_CACHE_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/base/mapped_file.h"
#include "local_engine/model/packed_weights.h"

namespace nearfar {

// The cache file of one model file, there or not. Immutable, thread-safe.
class PackedCache {
 public:
  // Fewer bytes are packed sooner than a file of them is found.
  static constexpr int64_t kLeastBytes = 1 << 20;

  // `fingerprint` is GgufFile::Fingerprint of the file; `bytes` are PackedBytes of its weights.
  PackedCache(const MappedFile& model, std::string fingerprint, int64_t bytes);

  // The model's with ".packed" behind it.
  const std::string& path() const { return path_; }

  // The weights, if the file is of this model, in this state, in this layout, whole, and nobody
  // could have written it who could not have written the model. Like a model file it may be
  // replaced by renaming only (mapped_file.h). Errors, after which to pack: those of
  // MappedFile::Open; PermissionDenied (others may have written it), FailedPrecondition (of another
  // layout, or of another state of the model), DataLoss (damaged).
  absl::StatusOr<PackedMemory> Read() const;
  // Moves what Read gave to huge pages (MappedFile::MoveToHugePages); others may use it meanwhile.
  static void MoveToHugePages(const PackedMemory& memory, const std::atomic<bool>& stop);

  // Writes `weights` ([bytes] of the constructor) to a file of another name, which then takes this
  // one's place whole. Where a cache is there by now it stays. Takes as long as the disk does.
  // Errors, after which all is as it was: PermissionDenied, FailedPrecondition (a file system that
  // is read-only), ResourceExhausted (no room for it and a tenth more), Unavailable (another
  // process is writing it), and what else the system says.
  absl::Status Write(absl::Span<const uint8_t> weights) const;

 private:
  struct Header;

  Header HeaderOf(absl::Span<const uint8_t> weights) const;
  absl::StatusOr<std::unique_ptr<MappedFile>> OpenChecked() const;
  absl::Status CheckWriters(const MappedFile& file) const;
  absl::Status CheckContent(const MappedFile& file) const;
  absl::Status OwnPart(int fd, const std::string& part) const;
  absl::Status CheckRoom(int fd) const;
  absl::Status WriteAll(int fd, absl::Span<const uint8_t> weights) const;

  const std::string path_;
  const std::string fingerprint_;
  const int64_t model_modified_;
  const int64_t bytes_;
  // Of the model file.
  uid_t owner_ = 0;
  mode_t mode_ = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_PACKED_CACHE_H_
