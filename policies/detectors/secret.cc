// Secrets: keys by their issuers' marks, and what a word such as "password" announces.
#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "policies/detectors/ascii.h"
#include "policies/detectors/scanners.h"

namespace nearfar::detectors {
namespace {

bool IsTokenByte(unsigned char c) { return IsAlnum(c) || c == '-' || c == '_'; }

size_t TokenLength(std::string_view text, size_t i) {
  size_t end = i;
  while (end < text.size() && end - i < 512 && IsTokenByte(text[end])) ++end;
  return end - i;
}

// Prefixes that issuers put on their keys, and the least length of what follows.
struct KeyPrefix {
  const char* prefix;
  size_t min_rest;
};
constexpr KeyPrefix kKeyPrefixes[] = {
    {"sk-", 20},     {"sk_live_", 16},    {"sk_test_", 16}, {"rk_live_", 16},
    {"ghp_", 30},    {"gho_", 30},        {"ghs_", 30},     {"ghu_", 30},
    {"ghr_", 30},    {"github_pat_", 30}, {"glpat-", 18},   {"xoxb-", 10},
    {"xoxp-", 10},   {"xoxa-", 10},       {"xoxs-", 10},    {"AKIA", 16},
    {"ASIA", 16},    {"AIza", 33},        {"ya29.", 20},    {"hf_", 28},
    {"npm_", 30},    {"pypi-", 30},       {"xai-", 30},     {"gsk_", 30},
    {"dop_v1_", 40}, {"shpat_", 28},      {"whsec_", 24},   {"AGE-SECRET-KEY-1", 30},
    {"SG.", 20},
};

bool LooksRandom(std::string_view token) {
  const auto has = [&](auto test) { return std::any_of(token.begin(), token.end(), test); };
  return has(IsDigit) && has(IsAlpha);
}

bool IsKeyAt(std::string_view text, size_t i) {
  for (const KeyPrefix& key : kKeyPrefixes) {
    if (!StartsWith(text.substr(i), key.prefix)) continue;
    const size_t rest = i + std::string_view(key.prefix).size();
    const size_t length = TokenLength(text, rest);
    if (length >= key.min_rest && LooksRandom(text.substr(rest, length))) return true;
  }
  return false;
}

// eyJ...: three base64url parts of a JSON web token.
bool IsJwtAt(std::string_view text, size_t i) {
  if (!StartsWith(text.substr(i), "eyJ")) return false;
  for (int part = 0; part < 2; ++part) {
    const size_t length = TokenLength(text, i);
    if (length < 10 || At(text, i + length) != '.') return false;
    i += length + 1;
  }
  return TokenLength(text, i) >= 10;
}

bool HasKey(std::string_view text) {
  for (size_t i = 0; i + 8 < text.size(); ++i) {
    if (IsTokenByte(Before(text, i)) || !IsAlpha(text[i])) continue;
    if (IsKeyAt(text, i) || IsJwtAt(text, i)) return true;
  }
  return false;
}

bool HasPrivateKeyBlock(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  for (size_t at = text.find(kBegin); at != std::string_view::npos;
       at = text.find(kBegin, at + kBegin.size())) {
    if (text.substr(at, 64).find("PRIVATE KEY") != std::string_view::npos) return true;
  }
  return false;
}

// scheme://user:password@host
bool HasUrlCredentials(std::string_view text) {
  for (size_t at = text.find("://"); at != std::string_view::npos; at = text.find("://", at + 3)) {
    size_t colon = 0, i = at + 3;
    for (; i < text.size() && i - at < 256; ++i) {
      const unsigned char c = text[i];
      if (c == ':' && colon == 0) colon = i;
      if (c <= ' ' || c == '/' || c == '@' || c == '"' || c == '\'' || c == '<') break;
    }
    if (At(text, i) == '@' && colon > at + 3 && i - colon > 3 && text[colon + 1] != '$' &&
        text[colon + 1] != '{') {
      return true;
    }
  }
  return false;
}

// Words that are followed by a secret, and whether any word will do as one (else it must hold a
// digit and have some length).
struct SecretCue {
  std::string_view word;
  bool strong;
};
constexpr SecretCue kSecretCues[] = {
    {"password", true},       {"passwd", true},      {"pwd", true},         {"passphrase", true},
    {"passcode", true},       {"passwort", true},    {"kennwort", true},    {"contraseña", true},
    {"mot de passe", true},   {"пароль", true},      {"密码", true},        {"api key", false},
    {"api_key", false},       {"apikey", false},     {"api-key", false},    {"access_token", false},
    {"access token", false},  {"auth token", false}, {"auth_token", false}, {"secret", false},
    {"client_secret", false}, {"secret_key", false}, {"access_key", false}, {"private_key", false},
    {"token", false},         {"bearer", false},     {"pin code", false},   {"wachtwoord", true},
    {"senha", true},          {"pass", true},        {"パスワード", true},
};

bool IsPlaceholder(std::string_view lower) {
  constexpr std::string_view kWords[] = {
      "none",     "null",      "required", "your",      "string",    "str",     "true", "false",
      "optional", "secret",    "password", "changeme_", "xxxx",      "****",    "todo", "text",
      "hidden",   "undefined", "field",    "not",       "the",       "this",    "that", "incorrect",
      "wrong",    "invalid",   "strong",   "reset",     "protected", "manager", "and",  "must",
      "should",   "example",   "redacted", "varchar",   "bool",      "int",     "what", "which",
      "how",      "value",     "input",    "empty"};
  if (lower.find_first_of("<>{}()[]$") != std::string_view::npos) return true;
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return StartsWith(lower, word); });
}

// The value from i to the next blank or quote, without its quotes and closing punctuation.
struct Value {
  std::string_view text;
  bool quoted = false;
  bool ends_phrase = false;  // nothing but an end of line or sentence follows
};

Value ReadValue(std::string_view text, size_t i) {
  Value value;
  if (At(text, i) == '"' || At(text, i) == '\'' || At(text, i) == '`') value.quoted = true, ++i;
  size_t end = i;
  while (end < text.size() && end - i < 200) {
    const unsigned char c = text[end];
    if (c <= ' ' || (value.quoted && (c == '"' || c == '\'' || c == '`'))) break;
    ++end;
  }
  const unsigned char after = value.quoted ? At(text, end + 1) : At(text, end);
  value.ends_phrase = after == 0 || after == '\n' || after == '\r';
  while (end > i && OneOf(text[end - 1], ".,;:!?)") && !value.quoted) {
    value.ends_phrase = true;
    --end;
  }
  value.text = text.substr(i, end - i);
  return value;
}

bool HasSymbolOrDigit(std::string_view value) {
  return std::any_of(value.begin(), value.end(),
                     [](unsigned char c) { return IsDigit(c) || OneOf(c, "!@#$%^&*_?+~"); });
}

// `assigned`: by ':' or '='; else by "is".
bool IsSecretValue(std::string_view text, size_t i, bool strong, bool assigned) {
  const Value value = ReadValue(text, i);
  const std::string lower = LowerAscii(value.text);
  if (value.text.size() < 4 || IsPlaceholder(lower)) return false;
  if (!strong) return value.text.size() >= 8 && LooksRandom(value.text);
  if (HasSymbolOrDigit(value.text)) {
    // user.password_2, os.environ: a name in a program, not a value.
    return value.quoted || value.text.find('.') == std::string_view::npos ||
           !IsAlpha(value.text[0]) || std::any_of(value.text.begin(), value.text.end(), IsDigit);
  }
  if (value.quoted) return true;
  return assigned && value.ends_phrase && value.text.find('.') == std::string_view::npos;
}

size_t SkipBlanks(std::string_view text, size_t i) {
  while (i < text.size() && text[i] == ' ') ++i;
  return i;
}

// What stands between the cue at its end and the value: ':', '=', "is" and the like.
bool IsAssignmentAt(std::string_view text, std::string_view lower, size_t i, bool strong) {
  if (At(text, i) == '"' || At(text, i) == '\'') ++i;  // "password": "..."
  i = SkipBlanks(text, i);
  if (At(text, i) == ':' || At(text, i) == '=') {
    if (At(text, i + 1) == '=') return false;  // a comparison
    return IsSecretValue(text, SkipBlanks(text, i + 1), strong, true);
  }
  for (std::string_view is : {"is ", "ist ", "est ", "es ", "was ", "to ", "is: ", "是", "は"}) {
    if (!StartsWith(lower.substr(i), is)) continue;
    return IsSecretValue(text, SkipBlanks(text, i + is.size()), strong, false);
  }
  return false;
}

bool HasAssignment(std::string_view text, std::string_view lower) {
  for (const SecretCue& cue : kSecretCues) {
    for (size_t at = lower.find(cue.word); at != std::string_view::npos;
         at = lower.find(cue.word, at + 1)) {
      const size_t end = at + cue.word.size();
      const unsigned char before = Before(lower, at);
      if (IsAlnum(At(lower, end)) || At(lower, end) == '_' || IsAlnum(before)) continue;
      if (cue.word == "bearer" && TokenLength(text, end + 1) >= 20 &&
          LooksRandom(text.substr(end + 1, TokenLength(text, end + 1)))) {
        return true;
      }
      if (IsAssignmentAt(text, lower, end, cue.strong)) return true;
    }
  }
  return false;
}

}  // namespace

bool HasSecret(std::string_view text, std::string_view lower) {
  return HasPrivateKeyBlock(text) || HasKey(text) || HasUrlCredentials(text) ||
         HasAssignment(text, lower);
}

}  // namespace nearfar::detectors
