// The seam of a handover: one side's text has reached the app, another side goes on from it.
//
// The app has `released`; the new side was given it as the beginning of its answer. A side that
// continues exactly sends what follows. A side that was only asked to continue may also repeat the
// end of what it was given, or begin the answer anew, with or without a sentence of its own before;
// the stitcher holds its first words until it knows which, and drops what the app already has. Text
// is compared without white space and case, as a repetition often differs in those.
//
//   released   "The capital of France is"
//   continue   " Paris."                           -> " Paris."
//   echo       "France is Paris."                  -> " Paris."
//   restart    "The capital of France is Paris."   -> " Paris."
//   otherwise  nothing overlaps: it is a continuation and passes whole (nothing is ever lost)
//
// A code fence that stood open at the seam is neither opened twice nor left open. One caller at a
// time. Held by tests/router/internal/stitcher_test.cc and tests/router/handover_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_HANDOVER_H_
#define NEARFAR_ROUTER_INTERNAL_HANDOVER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/backend.h"

namespace nearfar::internal {

// What of `released` travels to a side: all of it where it continues exactly; up to the end of a
// word where it is instructed, as half a word cannot be continued by instruction. `whole_words`:
// released is known to end with a whole word.
std::string PrefixFor(Continuation side, const std::string& released, bool whole_words);

class Stitcher {
 public:
  // `prefix` is what PrefixFor gave.
  Stitcher(Continuation side, std::string released, const std::string& prefix);

  // What of the side's text may go out now. Pieces end on code-point boundaries.
  std::string Add(std::string_view piece);
  // The rest. `complete`: the side ended by itself, so that a fence it left open must be closed.
  std::string Finish(bool complete);

 private:
  // Text without white space and with ASCII in lower case.
  struct Canonical {
    std::string text;
    std::vector<size_t> ends;   // bytes of the original up to and with each byte of text
    std::vector<size_t> words;  // where words start in text, rising
    bool after_space = true;
    size_t bytes = 0;  // of the original
    void Append(std::string_view original);
  };
  // What a comparison of the side's text with the end of `released_` says.
  struct Match {
    enum class Kind { kNo, kNotYet, kYes } kind = Kind::kNo;
    size_t length = 0;  // of kYes: canonical bytes of the side's text that the app has
  };

  std::string Decide(bool at_end);
  Match Find(bool at_end) const;
  Match MatchAt(size_t from, bool at_end) const;
  Match MatchSuffix(size_t from, size_t start, bool at_end) const;
  Match Diverged() const;
  size_t WordsFrom(size_t start) const;
  bool LongEnough(size_t from, size_t start, size_t length) const;
  bool EndsWord(size_t canonical_end, bool at_end, bool* not_yet) const;
  bool FenceUndecided() const;
  std::string Join(std::string_view rest, bool overlapped);
  std::string JoinInFence(std::string_view rest) const;
  std::string Pass(std::string out);

  Continuation side_;
  std::string released_;
  Canonical had_;        // of released_
  size_t dangling_ = 0;  // canonical bytes of released_ that did not travel
  bool fence_;           // a code fence stands open at the seam
  std::string waiting_;
  Canonical got_;  // of waiting_
  bool decided_ = false;
  bool trim_ = false;   // the app already has the space that may come next
  std::string passed_;  // what went out after the seam
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_HANDOVER_H_
