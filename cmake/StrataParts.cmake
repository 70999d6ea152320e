# What is built of Strata: STRATA_PARTS=trainer leaves all out that needs gRPC, SQLite, SentencePiece or a test framework, so
# that a machine with LibTorch, CUDA and CMake alone builds model, trainer and what measures them (tests/gpu/run). With
# STRATA_BUNDLED the remaining headers come from cmake/bundled.

if(NOT STRATA_PARTS MATCHES "^(all|trainer)$")
  message(FATAL_ERROR "STRATA_PARTS is \"${STRATA_PARTS}\". Choose all or trainer.")
endif()
if(STRATA_BUNDLED AND NOT STRATA_PARTS STREQUAL "trainer")
  message(FATAL_ERROR "STRATA_BUNDLED is for STRATA_PARTS=trainer: the rest needs more than headers.")
endif()

if(STRATA_PARTS STREQUAL "trainer")
  set(STRATA_GRPC OFF)
  set(STRATA_TESTS OFF)
endif()

if(STRATA_BUNDLED)
  set(STRATA_BUNDLED_INCLUDE_DIR ${CMAKE_SOURCE_DIR}/cmake/bundled/include)
  list(PREPEND CMAKE_MODULE_PATH ${CMAKE_SOURCE_DIR}/cmake/bundled)
  list(PREPEND CMAKE_INCLUDE_PATH ${STRATA_BUNDLED_INCLUDE_DIR})
endif()
