# The bundled headers (cmake/bundled/README.md).
if(NOT TARGET nlohmann_json::nlohmann_json)
  add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED GLOBAL)
  target_include_directories(nlohmann_json::nlohmann_json SYSTEM INTERFACE ${STRATA_BUNDLED_INCLUDE_DIR})
endif()
set(nlohmann_json_FOUND TRUE)
