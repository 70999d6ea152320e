# The bundled SHA-256 (cmake/bundled/README.md).
if(NOT TARGET OpenSSL::Crypto)
  add_library(OpenSSL::Crypto INTERFACE IMPORTED GLOBAL)
  target_include_directories(OpenSSL::Crypto INTERFACE ${CMAKE_SOURCE_DIR}/cmake/bundled ${STRATA_BUNDLED_INCLUDE_DIR})
endif()
set(OpenSSL_FOUND TRUE)
