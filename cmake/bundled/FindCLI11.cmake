# The bundled headers (cmake/bundled/README.md).
if(NOT TARGET CLI11::CLI11)
  add_library(CLI11::CLI11 INTERFACE IMPORTED GLOBAL)
  target_include_directories(CLI11::CLI11 SYSTEM INTERFACE ${STRATA_BUNDLED_INCLUDE_DIR})
endif()
set(CLI11_FOUND TRUE)
