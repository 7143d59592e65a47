# Helpers for the rooms' CMake files. A room is a folder of sources that becomes one static library.

add_library(warren_flags INTERFACE)
target_include_directories(warren_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(warren_flags INTERFACE -Wall -Wextra -Wpedantic -Werror -Wno-missing-field-initializers)
if(WARREN_SANITIZE)
  target_compile_options(warren_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined -O1)
  target_link_options(warren_flags INTERFACE -fsanitize=address,undefined)
endif()
if(WARREN_FUZZ)
  target_compile_options(warren_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=undefined -O1 -Wno-error)  # another compiler has other warnings
  target_link_options(warren_flags INTERFACE -fsanitize=address,undefined)
endif()

# warren_room(<name> [DEPS target...]): every .cpp of the current folder, found anew at each configure.
function(warren_room name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC warren_flags ${ARG_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE warren_flags ${ARG_DEPS})
  endif()
endfunction()

# warren_test(<name> [DEPS target...]): every *_test.cpp of the current folder in one GoogleTest program.
function(warren_test name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_compile_options(${name} PRIVATE -O0)
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
endfunction()
