// The list of all commands; tests/router/cli/commands_test.cc holds that each has help and an
// example.

#include <string_view>

#include "router/cli/command.h"
#include "router/cli/commands.h"

namespace nearfar::cli {
namespace {

const CommandEntry kCommands[] = {
    {"", "ask", "Ask one question; it is answered near or far",
     "nearfar ask \"What is 17 * 23?\"\n"
     "  nearfar ask --explain \"My card is 4111 1111 1111 1111, is it valid?\"\n"
     "  git diff | nearfar ask --json --daemon unix:/run/nearfar/nearfard.sock -",
     MakeAskCommand},
    {"", "chat", "Talk, turn by turn", "nearfar chat --policy private", MakeChatCommand},
    {"", "generate", "Run the local engine alone",
     "nearfar generate --model qwen2.5-coder-0.5b \"Write a haiku about rain.\"\n"
     "  nearfar generate --model smollm2-135m --raw --greedy --quiet \"The capital of France is\"",
     MakeGenerateCommand},
    {"policy", "check", "Check policy files; every mistake is told",
     "nearfar policy check my_policy.yaml balanced", MakePolicyCheckCommand},
    {"policy", "explain", "What a policy would do with a question, and what would flip it",
     "nearfar policy explain --policy frugal \"Translate 'good night' into Latin.\"",
     MakePolicyExplainCommand},
    {"policy", "show", "Print a preset, ready to be changed",
     "nearfar policy show balanced > my_policy.yaml", MakePolicyShowCommand},
    {"policy", "reload", "Have a running daemon read its policy again",
     "nearfar policy reload --daemon unix:/run/nearfar/nearfard.sock", MakePolicyReloadCommand},
    {"models", "list", "Known model files, and which are here", "nearfar models list",
     MakeModelsListCommand},
    {"models", "verify", "Compare files with their published SHA-256",
     "nearfar models verify qwen2.5-coder-0.5b", MakeModelsVerifyCommand},
    {"models", "inspect", "Show what a GGUF file holds",
     "nearfar models inspect smollm2-135m --tensors", MakeModelsInspectCommand},
    {"log", "show", "The last decisions", "nearfar log show --limit 5", MakeLogShowCommand},
    {"log", "stats", "Where the questions went, and what they cost",
     "nearfar log stats --since 24h", MakeLogStatsCommand},
    {"", "doctor", "Check this machine, its models, policy and far sides",
     "nearfar doctor --policy balanced\n"
     "  nearfar doctor --daemon unix:/run/nearfar/nearfard.sock",
     MakeDoctorCommand},
    {"", "bench", "Measure the engine beside what this machine can do at most",
     "nearfar bench --model smollm2-135m\n"
     "  nearfar bench --model my.gguf --threads 1 --decode 64 --depth 0,2048 --json",
     MakeBenchCommand},
    {"", "collect", "Ask both sides questions with known answers; keep what came of it",
     "nearfar collect --questions policies/questions/everyday.jsonl --near qwen2.5-coder-0.5b \\\n"
     "      --far qwen2.5-coder-1.5b --out outcomes.jsonl",
     MakeCollectCommand},
    {"", "calibrate", "Fit a calibration file from outcomes, and say how good it is",
     "nearfar calibrate --questions policies/questions/everyday.jsonl --outcomes outcomes.jsonl "
     "\\\n"
     "      --near qwen2.5-coder-0.5b --out my.calibration.yaml",
     MakeCalibrateCommand},
};

}  // namespace

absl::Span<const CommandEntry> AllCommands() { return kCommands; }

const char* GroupSummary(const char* group) {
  const std::string_view name = group;
  if (name == "policy") return "Check, explain and reload routing policies";
  if (name == "models") return "Look at model files";
  if (name == "log") return "Look at the decisions that were taken";
  return "";
}

}  // namespace nearfar::cli
