// One question from its start to its end: prints the answer as it comes, waits for the terminal
// event, and tells afterwards what happened. Held by tests/router/cli/answer_test.cc.

#ifndef NEARFAR_ROUTER_CLI_ANSWER_H_
#define NEARFAR_ROUTER_CLI_ANSWER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/synchronization/mutex.h"
#include "router/cli/answer_door.h"
#include "router/cli/interrupt.h"
#include "router/cli/terminal.h"
#include "router/query.h"

namespace nearfar::cli {

struct Answer {
  std::string request_id;
  std::optional<Decision> first;  // absent where the request did not start
  std::optional<Finished> finished;
  Failed failed;  // where `finished` is empty
};

// Starts `query` and waits. Ctrl-C cancels it, and so does an output that cannot be written. The
// text goes to terminal->Answer as it comes, unless `show` is false.
Answer AskAndWait(AnswerDoor* door, Query query, bool show, Interrupt* interrupt,
                  Terminal* terminal);

// Prints the decision that the question would get, as a table or as JSON; returns the exit code.
int PrintExplanation(AnswerDoor* door, const Query& query, bool as_json, Terminal* terminal);

// "near · net_value · confidence 81.2 % · 14 tokens · 0.42 s · $0.000000" and what is odd about it.
std::string Footer(const Answer& answer, const Terminal& terminal);

// Everything as one JSON object.
std::string AnswerJson(const Answer& answer);

// kExitOk, or the code of the failure.
int ExitCodeOf(const Answer& answer);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_ANSWER_H_
