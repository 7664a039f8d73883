// Finds a policy's keywords in text: whole words, whatever their case, in one pass however many
// keywords there are (Aho and Corasick, "Efficient string matching", CACM 1975).
// Held by tests/policies/detectors/keywords_test.cc.

#ifndef NEARFAR_POLICIES_DETECTORS_KEYWORDS_H_
#define NEARFAR_POLICIES_DETECTORS_KEYWORDS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nearfar {

// Immutable.
class KeywordScanner {
 public:
  // A keyword may hold spaces and punctuation ("top secret", "c++"); runs of white space match any
  // run. Case is folded as by FoldText, and both are read in their plain spelling
  // (policies/text/scan_text.h), so that invisible characters hide nothing.
  // Empty keywords never match.
  explicit KeywordScanner(std::vector<std::string> keywords);

  // Those that occur, in the order and spelling they were given. A keyword's edge that is a letter
  // or digit must not touch another one, except in scripts without spaces (Han, Kana, Thai).
  std::vector<std::string> Find(std::string_view text) const;
  // The same of a text that NormalizeForScan has spelled.
  std::vector<std::string> FindPlain(std::string_view plain) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, int32_t>> next;  // sorted by byte
    int32_t fail = 0;
    int32_t output = -1;    // nearest node down the failure links that ends a keyword
    std::vector<int> ends;  // keywords that end here
  };

  void Insert(std::string_view folded, int keyword);
  void LinkFailures();
  int32_t Child(int32_t node, unsigned char byte) const;  // -1 = none
  int32_t Step(int32_t node, unsigned char byte) const;

  std::vector<std::string> keywords_;
  std::vector<size_t> lengths_;  // of the folded keywords, in bytes
  std::vector<Node> nodes_;
};

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_DETECTORS_KEYWORDS_H_
