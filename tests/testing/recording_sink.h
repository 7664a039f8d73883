// A sink that keeps what one generation delivered, and lets a test act from inside its calls.

#ifndef NEARFAR_TESTS_TESTING_RECORDING_SINK_H_
#define NEARFAR_TESTS_TESTING_RECORDING_SINK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "local_engine/session.h"

namespace nearfar::testing {

// Set the functions before Generate, read the rest after Wait.
class RecordingSink : public GenerateSink {
 public:
  std::function<void(int prompt_tokens, int reused)> on_prefill;
  std::function<void(const Token& token)> on_token;
  std::function<void(const GenerateResult& result)> on_done;

  void OnPrefill(int prompt_tokens, int reused) override {
    ++prefills;
    if (on_prefill) on_prefill(prompt_tokens, reused);
  }
  void OnToken(const Token& token) override {
    tokens.push_back(token);
    if (on_token) on_token(token);
  }
  void OnDone(const GenerateResult& done) override {
    result = done;
    ++dones;
    if (on_done) on_done(done);
    if (dones == 1) done_.Notify();
  }

  // Until OnDone.
  void Wait() { done_.WaitForNotification(); }

  std::vector<int32_t> ids() const {
    std::vector<int32_t> ids;
    for (const Token& token : tokens) ids.push_back(token.id);
    return ids;
  }
  std::string text() const {
    std::string text;
    for (const Token& token : tokens) text += token.text;
    return text;
  }

  std::vector<Token> tokens;
  GenerateResult result;
  int prefills = 0;
  int dones = 0;

 private:
  absl::Notification done_;
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_RECORDING_SINK_H_
