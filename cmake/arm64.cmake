# Cross-build for 64-bit Arm on an x86 box. The libraries come from a private root that
# scripts/arm64_root.sh fills with Debian's arm64 packages; nothing is installed system-wide.
#   scripts/arm64_root.sh && cmake --preset arm64 && cmake --build --preset arm64
#   QEMU_CPU=cortex-a53 ctest --test-dir build/arm64      # and QEMU_CPU=max
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

if(NOT DEFINED NEARFAR_ARM64_ROOT)
  if(DEFINED ENV{NEARFAR_ARM64_ROOT})
    set(NEARFAR_ARM64_ROOT $ENV{NEARFAR_ARM64_ROOT})
  else()
    set(NEARFAR_ARM64_ROOT $ENV{HOME}/.cache/nearfar/arm64-root)
  endif()
endif()
if(NOT EXISTS ${NEARFAR_ARM64_ROOT}/.nearfar-stamp)
  message(FATAL_ERROR "No arm64 libraries in ${NEARFAR_ARM64_ROOT}: run scripts/arm64_root.sh first")
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES NEARFAR_ARM64_ROOT)
set(CMAKE_SYSROOT ${NEARFAR_ARM64_ROOT})
set(CMAKE_FIND_ROOT_PATH ${NEARFAR_ARM64_ROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

find_program(NEARFAR_QEMU_AARCH64 qemu-aarch64)
if(NEARFAR_QEMU_AARCH64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${NEARFAR_QEMU_AARCH64} -L ${NEARFAR_ARM64_ROOT})
endif()
