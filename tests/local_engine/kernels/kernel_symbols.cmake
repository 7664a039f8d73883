# A kernel's object file may define one symbol that others see: its table. Anything weak (an inline
# function, a template of a library) could be chosen by the linker for the whole program, with
# instructions that an older CPU does not have.
#   cmake -DNM=nm "-DOBJECTS=a.o;b.o" -P kernel_symbols.cmake
set(checked 0)
foreach(object IN LISTS OBJECTS)
  if(NOT object MATCHES "kernels/[a-z0-9_]+/table\\.cc\\.o$" OR object MATCHES "kernels/reference/")
    continue()
  endif()
  execute_process(COMMAND ${NM} --defined-only --extern-only ${object} OUTPUT_VARIABLE symbols
                  COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE "\n$" "" symbols "${symbols}")
  string(REPLACE "\n" ";" lines "${symbols}")
  list(LENGTH lines count)
  if(NOT count EQUAL 1 OR NOT symbols MATCHES "Kernels")
    message(FATAL_ERROR "${object} defines more than its table:\n${symbols}")
  endif()
  math(EXPR checked "${checked} + 1")
endforeach()
if(checked EQUAL 0)
  message(FATAL_ERROR "no kernel object among: ${OBJECTS}")
endif()
