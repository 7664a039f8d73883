// Exit codes after sysexits.h, and which one a status stands for.

#ifndef NEARFAR_ROUTER_CLI_EXIT_CODES_H_
#define NEARFAR_ROUTER_CLI_EXIT_CODES_H_

#include "absl/status/status.h"

namespace nearfar::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitUsage = 64;        // the command line is wrong
inline constexpr int kExitData = 65;         // a file's content is wrong
inline constexpr int kExitNoInput = 66;      // a file is missing
inline constexpr int kExitUnavailable = 69;  // something that is needed is not there or refused
inline constexpr int kExitSoftware = 70;     // a defect of ours
inline constexpr int kExitCantCreate = 73;   // an output cannot be written
inline constexpr int kExitIo = 74;           // what was to be printed could not be written
inline constexpr int kExitTemporary = 75;    // later it may work
inline constexpr int kExitNoPermission = 77;
inline constexpr int kExitConfig = 78;        // a policy or configuration is wrong
inline constexpr int kExitInterrupted = 130;  // Ctrl-C, as shells spell it

int ExitCodeOf(const absl::Status& status);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_EXIT_CODES_H_
