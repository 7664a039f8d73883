// Is this text well-formed UTF-8? Every text is asked before it leaves and after it arrives: a
// server refuses other bytes with a misleading status, and an application is promised whole code
// points. Pure. Held by tests/cloud_client/protocols/text_check_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_PROTOCOLS_TEXT_CHECK_H_
#define NEARFAR_CLOUD_CLIENT_PROTOCOLS_TEXT_CHECK_H_

#include <string_view>

namespace nearfar {

// No overlong form, no surrogate, nothing above U+10FFFF, no cut code point (RFC 3629).
bool IsValidUtf8(std::string_view text);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_PROTOCOLS_TEXT_CHECK_H_
