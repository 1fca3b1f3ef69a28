# add_unit_test(NAME LIBRARY...): tests/unit/test_NAME.c as its own program and test, with a time limit.
function(add_unit_test name)
  add_executable(test_${name} test_${name}.c)
  target_link_libraries(test_${name} PRIVATE ${ARGN} PkgConfig::CMOCKA chat_flags)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Tests of assertions leave them by longjmp(); the variables it might clobber are not used afterwards.
    target_compile_options(test_${name} PRIVATE -Wno-clobbered)
  endif()
  add_test(NAME unit_${name} COMMAND test_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(unit_${name} PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()
