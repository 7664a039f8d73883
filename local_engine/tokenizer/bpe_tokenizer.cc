// See bpe_tokenizer.h. A candidate is never taken out of the heap when one of its parts changes; it
// is known to be stale because the ids at its place are no longer those it was made for.

#include "local_engine/tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <utility>

#include "local_engine/tokenizer/special_tokens.h"

namespace nearfar {
namespace {

constexpr int32_t kNone = -1;
constexpr int32_t kGone = -2;

class BpeTokenizer : public Tokenizer {
 public:
  BpeTokenizer(Vocab vocab, const Pretokenizer& pretokenizer)
      : vocab_(std::move(vocab)), pretokenizer_(pretokenizer), specials_(vocab_) {}

  int vocabulary() const override { return vocab_.size(); }

  void Encode(std::string_view text, bool parse_special, std::vector<int32_t>* ids) const override {
    size_t done = 0;
    for (const SpecialMatch& match : specials_.Find(text, parse_special)) {
      EncodePlain(text.substr(done, match.begin - done), ids);
      ids->push_back(match.id);
      done = match.end;
    }
    EncodePlain(text.substr(done), ids);
  }

  std::string_view Bytes(int32_t id) const override {
    return id < 0 || id >= vocab_.size() ? std::string_view() : vocab_.Bytes(id);
  }
  int32_t FindControl(std::string_view text) const override { return vocab_.FindControl(text); }
  bool IsEndOfText(int32_t id) const override { return vocab_.IsEndOfText(id); }
  int32_t begin_id() const override { return vocab_.begin_id(); }

 private:
  void EncodePlain(std::string_view text, std::vector<int32_t>* ids) const {
    BpeMerger merger(vocab_);
    size_t begin = 0;
    for (const size_t end : pretokenizer_.Split(text)) {
      const std::string_view piece = text.substr(begin, end - begin);
      const int32_t whole = pretokenizer_.whole_pieces_first ? vocab_.FindNormal(piece) : kNone;
      if (whole >= 0) {
        ids->push_back(whole);
      } else {
        merger.Encode(piece, ids);
      }
      begin = end;
    }
  }

  const Vocab vocab_;
  const Pretokenizer& pretokenizer_;
  const SpecialTokens specials_;
};

}  // namespace

bool BpeMerger::Later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
}

// Puts the pair that begins at `left` into the heap, if it may be joined.
void BpeMerger::Offer(int32_t left) {
  if (left == kNone || parts_[left].next == kNone) return;
  const int32_t left_id = parts_[left].id;
  const int32_t right_id = parts_[parts_[left].next].id;
  if (left_id < 0 || right_id < 0) return;
  const Vocab::Merge* const merge = vocab_.FindMerge(left_id, right_id);
  if (merge == nullptr) return;
  heap_.push_back({merge->rank, left, left_id, right_id, merge->result});
  std::push_heap(heap_.begin(), heap_.end(), Later);
  ++candidates_;
}

void BpeMerger::Join(const Candidate& best) {
  Part& left = parts_[best.left];
  if (left.id != best.left_id || left.next == kNone) return;  // stale
  Part& right = parts_[left.next];
  if (right.id != best.right_id) return;  // stale
  left.id = best.result;
  left.next = right.next;
  right.id = kGone;
  if (left.next != kNone) parts_[left.next].previous = best.left;
  Offer(left.previous);
  Offer(best.left);
}

void BpeMerger::Encode(std::string_view piece, std::vector<int32_t>* ids) {
  const int32_t n = static_cast<int32_t>(piece.size());
  parts_.clear();
  heap_.clear();
  for (int32_t i = 0; i < n; ++i) {
    const int32_t id = vocab_.ByteToken(static_cast<uint8_t>(piece[i]));
    parts_.push_back({id, i - 1, i + 1 < n ? i + 1 : kNone});
  }
  for (int32_t i = 0; i < n; ++i) Offer(i);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    const Candidate best = heap_.back();
    heap_.pop_back();
    Join(best);
  }
  for (const Part& part : parts_) {
    if (part.id >= 0) ids->push_back(part.id);
  }
}

std::unique_ptr<const Tokenizer> NewBpeTokenizer(Vocab vocab, const Pretokenizer& pretokenizer) {
  return std::make_unique<BpeTokenizer>(std::move(vocab), pretokenizer);
}

}  // namespace nearfar
