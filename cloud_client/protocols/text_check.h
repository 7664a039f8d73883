// Is this text well-formed UTF-8? Every text is asked before it leaves and after it arrives: a
// server refuses other bytes with a misleading status, and an application is promised whole code
// points. What is only for people (an error's message) is cleaned instead. Pure. Held by
// tests/cloud_client/protocols/text_check_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_PROTOCOLS_TEXT_CHECK_H_
#define NEARFAR_CLOUD_CLIENT_PROTOCOLS_TEXT_CHECK_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace nearfar {

// No overlong form, no surrogate, nothing above U+10FFFF, no cut code point (RFC 3629).
bool IsValidUtf8(std::string_view text);

// At most `most_bytes` of valid UTF-8, cut between code points: a byte that belongs to none becomes
// U+FFFD, and a control character a space, so that no terminal obeys it.
std::string CleanText(std::string_view text, size_t most_bytes);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_PROTOCOLS_TEXT_CHECK_H_
