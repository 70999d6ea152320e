# The few rules that every folder's CMakeLists.txt uses: strata_library, strata_program, strata_test, strata_embed.
# Compiler settings, sanitizers, ccache and the version stamp stand here, once.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_package(Threads REQUIRED)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need both sloppinesses; the base folder lets two clones share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
endif()

add_library(strata_options INTERFACE)
target_compile_options(strata_options INTERFACE -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers)
target_include_directories(strata_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(strata_options INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
if(STRATA_SANITIZE)
  target_compile_options(strata_options INTERFACE -fsanitize=${STRATA_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(strata_options INTERFACE -fsanitize=${STRATA_SANITIZE})
endif()

# The version stamp, cmake/build_info.h: looked at by each build, rewritten only when the commit is another.
set(STRATA_COMMIT "" CACHE STRING "Commit to stamp where git cannot say it")
set(_build_info ${CMAKE_BINARY_DIR}/generated/build_info.cc)
add_custom_target(strata_commit BYPRODUCTS ${_build_info} COMMENT ""
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DOUTPUT=${_build_info} -DVERSION=${PROJECT_VERSION}
          -DCOMMIT=${STRATA_COMMIT} -P ${CMAKE_SOURCE_DIR}/cmake/BuildInfo.cmake)
add_library(strata_build_info STATIC ${_build_info})
target_link_libraries(strata_build_info PUBLIC strata_options)
add_dependencies(strata_build_info strata_commit)

# strata_headers(NAME DEPS lib ... HEADERS <a.h> ...): headers of others that many sources include, compiled once for all
# targets that say PRECOMPILED NAME. None of ours: a header that says #pragma once would be read twice where another clone's
# compiler cache gave it.
function(strata_headers name)
  cmake_parse_arguments(A "" "" "DEPS;HEADERS" ${ARGN})
  add_library(${name} OBJECT ${CMAKE_SOURCE_DIR}/cmake/empty.cc)
  target_link_libraries(${name} PRIVATE strata_options ${A_DEPS})
  target_precompile_headers(${name} PRIVATE ${A_HEADERS})
endfunction()

# strata_library(NAME SOURCES a.cc ... DEPS lib ... [PRECOMPILED headers])
function(strata_library name)
  cmake_parse_arguments(A "" "PRECOMPILED" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC strata_options ${A_DEPS})
  if(A_PRECOMPILED)
    target_precompile_headers(${name} REUSE_FROM ${A_PRECOMPILED})
  endif()
endfunction()

# strata_program(NAME FOLDER client SOURCES main.cc ... DEPS lib ... [PRECOMPILED headers]): the program stands at build/PRESET/FOLDER/NAME.
# `cmake --install` takes the programs of client, server and worker.
function(strata_program name)
  cmake_parse_arguments(A "" "FOLDER;PRECOMPILED" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE strata_options ${A_DEPS})
  if(A_PRECOMPILED)
    target_precompile_headers(${name} REUSE_FROM ${A_PRECOMPILED})
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${A_FOLDER})
  if(A_FOLDER MATCHES "^(client|server|worker)$")
    install(TARGETS ${name} RUNTIME)
  endif()
endfunction()

# strata_test(NAME SOURCES a_test.cc ... DEPS lib ... [LABELS fast] [TIMEOUT 120] [PRECOMPILED strata_test_headers]): one ctest
# test a GoogleTest case. DEFINES reach the sources; tests find their data by STRATA_SOURCE_DIR.
function(strata_test name)
  if(NOT STRATA_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "" "TIMEOUT;PRECOMPILED" "SOURCES;DEPS;LABELS;DEFINES" ${ARGN})
  list(LENGTH A_LABELS labels)
  if(labels GREATER 1)  # gtest_discover_tests would take the second one for a property's name
    message(FATAL_ERROR "strata_test(${name}): LABELS ${A_LABELS}: give one label.")
  endif()
  if(NOT A_LABELS)
    set(A_LABELS fast)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  if(NOT A_PRECOMPILED)
    set(A_PRECOMPILED strata_test_headers)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE strata_options ${A_DEPS} GTest::gmock GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE STRATA_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                             STRATA_BINARY_DIR="${CMAKE_BINARY_DIR}" ${A_DEFINES})
  target_precompile_headers(${name} REUSE_FROM ${A_PRECOMPILED})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 120 PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT})
endfunction()

# strata_embed(TARGET FILE SYMBOL): compiles FILE's bytes into TARGET as `extern const char SYMBOL[]` and `SYMBOL_size`.
# FILE may be made by the build; declare with `extern "C" const char SYMBOL[]; extern "C" const unsigned long SYMBOL_size;`.
function(strata_embed target file symbol)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.S)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[
.section .rodata
.global @symbol@
.global @symbol@_size
.balign 8
@symbol@:
.incbin "@file@"
0: .byte 0
.balign 8
@symbol@_size: .quad 0b - @symbol@
.section .note.GNU-stack,"",%progbits
]])
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${file})
  target_sources(${target} PRIVATE ${source})
endfunction()

# strata_write_link_graph(FILE): every target of ours with its folder and what it links, one a line, for tests/structure.
function(strata_write_link_graph file)
  set(folders ${CMAKE_SOURCE_DIR})
  set(graph "")
  while(folders)
    list(POP_FRONT folders folder)
    get_property(below DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
    list(APPEND folders ${below})
    get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${folder})
    foreach(target ${targets})
      get_target_property(type ${target} TYPE)
      if(type STREQUAL INTERFACE_LIBRARY)
        get_target_property(linked ${target} INTERFACE_LINK_LIBRARIES)
      else()
        get_target_property(linked ${target} LINK_LIBRARIES)
      endif()
      # Names inside generator expressions count as well.
      string(REGEX MATCHALL "[A-Za-z0-9_+.-]+(::[A-Za-z0-9_+.-]+)?" linked "${linked}")
      list(JOIN linked " " linked)
      string(APPEND graph "${target} ./${name} ${linked}\n")
    endforeach()
  endwhile()
  file(WRITE ${file} "${graph}")
endfunction()
