// The text of a generation as it may be shown: whole code points, and nothing that could still turn
// out to be the beginning of a stop string.
//
//   TextStream stream({"\nUser:"});
//   for each token:  text = stream.Push(tokenizer.Bytes(id));  if (stream.stopped()) break;
//   at the end:      text = stream.Flush();
//
// The released texts concatenated do not depend on how the bytes were cut into tokens. Bytes that
// are not UTF-8 become U+FFFD (one for each maximal subpart). Time is linear in the bytes pushed,
// whatever the number of stop strings (Aho and Corasick, "Efficient string matching", 1975).
// Held by tests/local_engine/sampling/text_stream_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_SAMPLING_TEXT_STREAM_H_
#define NEARFAR_LOCAL_ENGINE_SAMPLING_TEXT_STREAM_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"

namespace nearfar {

// InvalidArgument says what is beyond kMostStops or kMostStopBytes.
absl::Status CheckStops(absl::Span<const std::string> stop);

// One caller at a time; one stream a generation.
class TextStream {
 public:
  // Empty stop strings, and those that are not UTF-8, cannot occur in a text and are ignored.
  explicit TextStream(absl::Span<const std::string> stop);

  // Takes the bytes of one token and returns the text that may be released now, ending on a
  // code-point boundary. The stop string that is complete first ends the stream; its text, and
  // everything behind it, is dropped. Returns nothing once stopped.
  std::string Push(std::string_view bytes);

  // The generation has ended: releases what was held back. An incomplete code point becomes U+FFFD.
  // The stream must not be pushed to afterwards.
  std::string Flush();

  // True while text is held back that a later Push or Flush may release.
  bool holding() const { return !stopped() && !(pending_.empty() && held_.empty()); }

  bool stopped() const { return matched_ >= 0; }
  // Index (in the constructor's list) of the stop string that was met, or -1.
  int matched() const { return matched_; }

 private:
  // A state of the automaton: one prefix of the stop strings.
  struct Node {
    int32_t fail = 0;    // the longest proper suffix that is also a prefix
    int32_t depth = 0;   // its length in bytes
    int32_t match = -1;  // index of the longest stop string that ends here
    int32_t match_length = 0;
  };

  void AddStop(std::string_view stop, int index);
  void LinkFailures();
  int32_t Child(int32_t node, uint8_t byte) const;
  int32_t Next(int32_t node, uint8_t byte) const;
  // Moves decoded text through the automaton; false once a stop string is complete.
  bool Match(std::string_view text);
  // Decodes pending_ into held_; what is incomplete stays unless `last`.
  void Decode(bool last);
  std::string Release(size_t keep);

  std::vector<Node> nodes_;
  absl::flat_hash_map<uint64_t, int32_t> edges_;  // node << 8 | byte
  std::string pending_;                           // bytes of an incomplete code point
  std::string held_;                              // decoded, not yet released
  int32_t state_ = 0;
  int matched_ = -1;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SAMPLING_TEXT_STREAM_H_
