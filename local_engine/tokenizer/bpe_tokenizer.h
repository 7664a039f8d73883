// Byte-level byte-pair encoding (Sennrich et al. 2016, as in GPT-2): a piece of text begins as its
// bytes, and of all neighbours that may be joined the pair of the lowest rank is joined first, the
// leftmost among equals. Held by tests/local_engine/tokenizer/bpe_tokenizer_test.cc and, against
// llama.cpp, tokenizer_golden_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_TOKENIZER_BPE_TOKENIZER_H_
#define NEARFAR_LOCAL_ENGINE_TOKENIZER_BPE_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "local_engine/tokenizer/pretokenizer.h"
#include "local_engine/tokenizer/tokenizer.h"
#include "local_engine/tokenizer/vocab.h"

namespace nearfar {

std::unique_ptr<const Tokenizer> NewBpeTokenizer(Vocab vocab, const Pretokenizer& pretokenizer);

// Joins the bytes of single pieces. A heap of candidates over a linked list of parts:
// O(n log n) in the piece. One caller at a time; keeps its buffers from piece to piece.
class BpeMerger {
 public:
  // `vocab` must outlive the merger.
  explicit BpeMerger(const Vocab& vocab) : vocab_(vocab) {}

  // Appends the ids of `piece`. A byte for which the vocabulary has no token is left out.
  void Encode(std::string_view piece, std::vector<int32_t>* ids);

  // Candidates looked at since construction: at most three for each byte.
  int64_t candidates() const { return candidates_; }

 private:
  // A run of bytes that has become one token; `id` is -1 for a byte without a token and kGone for a
  // part that was joined to the one before it.
  struct Part {
    int32_t id;
    int32_t previous;
    int32_t next;
  };
  struct Candidate {
    int32_t rank;
    int32_t left;  // index of the left part
    int32_t left_id;
    int32_t right_id;
    int32_t result;
  };

  static bool Later(const Candidate& a, const Candidate& b);
  void Offer(int32_t left);
  void Join(const Candidate& best);

  const Vocab& vocab_;
  std::vector<Part> parts_;
  std::vector<Candidate> heap_;
  int64_t candidates_ = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKENIZER_BPE_TOKENIZER_H_
