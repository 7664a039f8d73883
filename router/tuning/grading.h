// Is a reply right? Pure text rules, no model and no running of code.
// Held by tests/router/tuning/grading_test.cc.

#ifndef NEARFAR_ROUTER_TUNING_GRADING_H_
#define NEARFAR_ROUTER_TUNING_GRADING_H_

#include <optional>
#include <string_view>

#include "router/tuning/question.h"

namespace nearfar {

// 1 for a right reply, 0 for a wrong one.
double Grade(const Question& question, std::string_view reply);

// The last decimal number of a text ("1,234.50" is 1234.5); empty if there is none.
std::optional<double> LastNumber(std::string_view text);

// Byte offset of the first place where `phrase` stands whole (no letter, digit, or decimal point
// with a digit behind it, on either side), in any ASCII case; npos if nowhere.
size_t FindWhole(std::string_view text, std::string_view phrase);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_TUNING_GRADING_H_
