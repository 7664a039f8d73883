// The plain spelling of a text, in which the detectors look: what a reader does not see must not
// hide a word or a number from them. Held by tests/policies/text/scan_text_test.cc.

#ifndef NEARFAR_POLICIES_TEXT_SCAN_TEXT_H_
#define NEARFAR_POLICIES_TEXT_SCAN_TEXT_H_

#include <string>
#include <string_view>

namespace nearfar {

// `text` without code points that draw nothing (soft hyphen, zero-width characters, direction
// marks, variation selectors); full-width forms and the digits of Arabic and Devanagari as ASCII;
// every space as ' ', every line end beyond ASCII as '\n', hyphens and the minus sign as '-', a
// long dash too where it stands between digits; letters and their combining marks as one code point
// where the case tables of code_points.h, kana or hangul know it; letters beyond ASCII in lower
// case. ASCII stays as it is, and so do bytes that are no UTF-8.
//
// Linear; the result is never longer than `text`, and offsets into it mean nothing in `text`.
// Keywords must be spelled by it, too, to be found in what it returns.
std::string NormalizeForScan(std::string_view text);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_TEXT_SCAN_TEXT_H_
