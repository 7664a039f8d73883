#include "local_engine/model/packed_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "local_engine/base/descriptor.h"
#include "local_engine/base/sha256.h"
#include "local_engine/packing/packing.h"

namespace nearfar {
namespace {

constexpr int64_t kWeightsAt = AlignedBuffer::kHugePageBytes;
// Of one write; whole huge pages, so that the page cache may use them too.
constexpr int64_t kTransferBytes = 4 * AlignedBuffer::kHugePageBytes;
constexpr size_t kDigestDigits = 64;
constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;

// Of samples from the first block to the last.
std::string DigestOfSamples(absl::Span<const uint8_t> weights) {
  constexpr uint64_t kSamples = 257;
  constexpr uint64_t kSampleBytes = 4096;
  const uint64_t span = weights.size() > kSampleBytes ? weights.size() - kSampleBytes : 0;
  Sha256 digest;
  for (uint64_t i = 0; i < kSamples; ++i) {
    digest.Update(weights.subspan(span * i / (kSamples - 1), kSampleBytes));
  }
  return digest.FinishHex();
}

absl::Status ErrnoStatus(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

absl::Status BeingWritten(const std::string& part) {
  return absl::UnavailableError(absl::StrCat("another process is writing ", part));
}

// false: errno says why.
bool WriteWhole(int fd, const void* bytes, int64_t count, int64_t at) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = pwrite(fd, next, std::min(count, kTransferBytes), at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    next += written;
    at += written;
    count -= written;
  }
  return true;
}

}  // namespace

// As it stands in the file, little-endian; every byte is said, so that headers compare as bytes.
struct PackedCache::Header {
  char magic[8];
  uint32_t layout;
  uint32_t weights_at;
  int64_t model_modified;  // nanoseconds since 1970
  int64_t weight_bytes;
  char model[kDigestDigits];    // its fingerprint
  char samples[kDigestDigits];  // DigestOfSamples of the weights
};

PackedCache::PackedCache(const MappedFile& model, std::string fingerprint, int64_t bytes)
    : path_(absl::StrCat(model.path(), ".packed")),
      fingerprint_(std::move(fingerprint)),
      model_modified_(model.modified()),
      bytes_(bytes) {
  struct stat info;
  if (fstat(model.descriptor(), &info) != 0) return;
  owner_ = info.st_uid;
  mode_ = info.st_mode;
}

PackedCache::Header PackedCache::HeaderOf(absl::Span<const uint8_t> weights) const {
  Header header = {.magic = {'n', 'f', 'p', 'a', 'c', 'k', 'e', 'd'},
                   .layout = kPackedLayoutVersion,
                   .weights_at = kWeightsAt,
                   .model_modified = model_modified_,
                   .weight_bytes = bytes_,
                   .model = {},
                   .samples = {}};
  fingerprint_.copy(header.model, kDigestDigits);
  DigestOfSamples(weights).copy(header.samples, kDigestDigits);
  return header;
}

// ---- Reading.

absl::StatusOr<PackedMemory> PackedCache::Read() const {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = OpenChecked();
  if (!file.ok()) return file.status();
  PackedMemory memory{.own = {}, .file = *std::move(file), .bytes = {}};
  memory.bytes = memory.file->bytes().subspan(kWeightsAt);
  return memory;
}

void PackedCache::MoveToHugePages(const PackedMemory& memory, const std::atomic<bool>& stop) {
  // What could not be moved is used where it is.
  memory.file->MoveToHugePages(kWeightsAt, stop).IgnoreError();
}

absl::StatusOr<std::unique_ptr<MappedFile>> PackedCache::OpenChecked() const {
  absl::StatusOr<std::unique_ptr<MappedFile>> file =
      MappedFile::Open(path_, MappedFile::Pages::kHuge);
  if (!file.ok()) return file.status();
  absl::Status status = CheckWriters(**file);
  if (status.ok()) status = CheckContent(**file);
  if (!status.ok()) return status;
  return file;
}

absl::Status PackedCache::CheckWriters(const MappedFile& file) const {
  struct stat info;
  if (fstat(file.descriptor(), &info) != 0) return ErrnoStatus("cannot stat", path_);
  const bool known = info.st_uid == owner_ || info.st_uid == geteuid() || info.st_uid == 0;
  if (known && (info.st_mode & ~mode_ & kOthersWrite) == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(path_, " may be written by others than the model is"));
}

absl::Status PackedCache::CheckContent(const MappedFile& file) const {
  if (static_cast<int64_t>(file.bytes().size()) != kWeightsAt + bytes_) {
    return absl::FailedPreconditionError(absl::StrCat(path_, " has ", file.bytes().size(),
                                                      " bytes instead of ", kWeightsAt + bytes_));
  }
  Header found;
  std::memcpy(&found, file.bytes().data(), sizeof(found));
  const Header wanted = HeaderOf(file.bytes().subspan(kWeightsAt));
  if (std::memcmp(&found, &wanted, offsetof(Header, samples)) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " is of another layout, or of another state of the model"));
  }
  if (std::memcmp(&found, &wanted, sizeof(found)) == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path_, " is damaged"));
}

// ---- Writing.

absl::Status PackedCache::Write(absl::Span<const uint8_t> weights) const {
  const std::string part = absl::StrCat(path_, ".part");
  const Descriptor file(
      open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (file.get() < 0) return ErrnoStatus("cannot create", part);
  absl::Status status = OwnPart(file.get(), part);
  if (!status.ok()) return status;
  if (OpenChecked().ok()) {  // another process was sooner
    unlink(part.c_str());
    return absl::OkStatus();
  }
  status = WriteAll(file.get(), weights);
  if (status.ok() && rename(part.c_str(), path_.c_str()) != 0) {
    status = ErrnoStatus("cannot rename to", path_);
  }
  if (!status.ok()) unlink(part.c_str());
  return status;
}

// Who holds the lock writes. A file that nobody holds is what a writer left that was ended: it is
// written anew. Under the name may be another file by now, or none, once its writer is done.
absl::Status PackedCache::OwnPart(int fd, const std::string& part) const {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? BeingWritten(part) : ErrnoStatus("cannot lock", part);
  }
  struct stat open_file, named;
  if (fstat(fd, &open_file) != 0) return ErrnoStatus("cannot stat", part);
  if (lstat(part.c_str(), &named) != 0 || named.st_ino != open_file.st_ino ||
      named.st_dev != open_file.st_dev) {
    return BeingWritten(part);
  }
  if (S_ISREG(open_file.st_mode) && open_file.st_nlink == 1 && open_file.st_uid == geteuid()) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat(part, " is not a file of this user alone (delete it)"));
}

absl::Status PackedCache::CheckRoom(int fd) const {
  const auto size = static_cast<uint64_t>(kWeightsAt + bytes_);
  rlimit longest;
  // One byte more would end the process (SIGXFSZ).
  if (getrlimit(RLIMIT_FSIZE, &longest) == 0 && longest.rlim_cur < size) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path_, " would be longer than this process may make a file (ulimit -f)"));
  }
  struct statvfs disk;
  if (fstatvfs(fd, &disk) != 0) return ErrnoStatus("cannot tell the room for", path_);
  const uint64_t room = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (room >= size + size / 10) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      path_, " needs ", size >> 20, " MiB and a tenth more, and ", room >> 20, " MiB are free"));
}

absl::Status PackedCache::WriteAll(int fd, absl::Span<const uint8_t> weights) const {
  if (ftruncate(fd, 0) != 0) return ErrnoStatus("cannot empty the temporary file of", path_);
  const absl::Status room = CheckRoom(fd);
  if (!room.ok()) return room;
  const Header header = HeaderOf(weights);
  // Nobody but the owner writes it: its group need not be the model's.
  const mode_t mode = (mode_ & (S_IRUSR | S_IRGRP | S_IROTH)) | S_IRUSR | S_IWUSR;
  if (!WriteWhole(fd, &header, sizeof(header), 0) ||
      !WriteWhole(fd, weights.data(), static_cast<int64_t>(weights.size()), kWeightsAt) ||
      fchmod(fd, mode) != 0 || fdatasync(fd) != 0) {
    return ErrnoStatus("cannot write", path_);
  }
  return absl::OkStatus();
}

}  // namespace nearfar
