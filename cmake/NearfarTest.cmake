# nearfar_test(NAME SOURCES a.cc ... LIBS x y [LABELS l ...] [WORKING_DIRECTORY d])
# One GoogleTest binary and one ctest entry. Labels used: "model" (needs a default model file),
# "long" (only with scripts/test.sh --long), "native" (too slow under emulation: thousands of tokens of
# whole models).
find_package(GTest REQUIRED)

function(nearfar_test name)
  cmake_parse_arguments(ARG "" "WORKING_DIRECTORY" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gmock GTest::gtest GTest::gtest_main
                                        Threads::Threads)
  target_compile_definitions(${name} PRIVATE NEARFAR_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  if(NOT ARG_WORKING_DIRECTORY)
    set(ARG_WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${ARG_WORKING_DIRECTORY})
  if(ARG_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()
