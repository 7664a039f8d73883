# Compiler settings that every target shares.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(NEARFAR_CCACHE ccache)
if(NEARFAR_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${NEARFAR_CCACHE})
endif()

# lld links the many test programs several times faster than the default linker. A cross compiler looks
# for one of its own name, which Debian does not have.
find_program(NEARFAR_LLD ld.lld)
if(NEARFAR_LLD AND NOT CMAKE_CROSSCOMPILING)
  add_link_options(-fuse-ld=lld)
endif()

add_compile_options(-Wall -Wextra -Wno-unused-parameter)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options(-Wthread-safety)
endif()

if(NEARFAR_SANITIZE)
  add_compile_options(-fsanitize=${NEARFAR_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${NEARFAR_SANITIZE})
endif()

# ThreadSanitizer cannot see the locks of prebuilt libraries: tsan_absl.cc and tsan_grpc.cc tell it of
# them.
if(NEARFAR_SANITIZE MATCHES "thread")
  add_library(nearfar_tsan_libraries STATIC ${CMAKE_CURRENT_LIST_DIR}/tsan_absl.cc
                                       ${CMAKE_CURRENT_LIST_DIR}/tsan_grpc.cc)
  add_link_options(LINKER:--undefined=__tsan_default_suppressions)
  foreach(
    symbol
    _ZN4absl7debian35Mutex4LockEv
    _ZN4absl7debian35Mutex6UnlockEv
    _ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE
    _ZN4absl7debian35Mutex8LockWhenERKNS0_9ConditionE
    _ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE
    _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE
    _ZN4absl7debian312Notification6NotifyEv
    _ZNK4absl7debian312Notification19WaitForNotificationEv
    _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)
    # A program whose own objects take no lock must still bring what the shared abseil now asks for.
    add_link_options(LINKER:--wrap=${symbol} LINKER:--undefined=__wrap_${symbol})
  endforeach()
  link_libraries($<BUILD_INTERFACE:nearfar_tsan_libraries>)
endif()

# Includes are paths from the root of the tree: #include "router/router.h".
include_directories(${CMAKE_SOURCE_DIR})
