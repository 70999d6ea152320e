# Finds LibTorch as the torch wheel or as the libtorch zip and defines the imported target LibTorch::LibTorch
# (LibTorch::Cuda too where STRATA_CUDA is on). The wheel's own TorchConfig.cmake is not used: it wants a CUDA toolkit.
#
# LIBTORCH_ROOT  folder that holds include/ and lib/ (the zip's libtorch/, the wheel's torch/), or the folder above it.
#                Default: what deploy/setup installed.

if(STRATA_CUDA)
  set(_flavour cuda)
else()
  set(_flavour cpu)
endif()
if(DEFINED ENV{STRATA_DEPS})
  set(_deps $ENV{STRATA_DEPS})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(_deps $ENV{XDG_CACHE_HOME}/strata)
else()
  set(_deps $ENV{HOME}/.cache/strata)
endif()
set(LIBTORCH_ROOT "" CACHE PATH "Folder of LibTorch (wheel's torch/ or the zip's libtorch/)")
set(_candidates ${LIBTORCH_ROOT} ${LIBTORCH_ROOT}/torch ${LIBTORCH_ROOT}/libtorch)
if(NOT LIBTORCH_ROOT)
  set(_candidates ${_deps}/libtorch-2.11.0-${_flavour}/torch)
endif()

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${_candidates} PATH_SUFFIXES include NO_DEFAULT_PATH NO_CACHE)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CACHE)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CACHE)

set(LibTorch_VERSION "")
if(LibTorch_INCLUDE_DIR)
  foreach(_header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(EXISTS ${LibTorch_INCLUDE_DIR}/${_header})
      file(STRINGS ${LibTorch_INCLUDE_DIR}/${_header} _lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
      string(REGEX REPLACE "[^0-9;]" "" _numbers "${_lines}")
      string(REPLACE ";" "." LibTorch_VERSION "${_numbers}")
      if(LibTorch_VERSION)
        break()
      endif()
    endif()
  endforeach()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "Looked in: ${_candidates}. Run deploy/setup (with --cuda for the CUDA build), or give -DLIBTORCH_ROOT=<folder with include/ and lib/>.")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  get_filename_component(_libdir ${LibTorch_CPU_LIBRARY} DIRECTORY)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  set_target_properties(LibTorch::LibTorch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES "${LibTorch_CPU_LIBRARY};${LibTorch_C10_LIBRARY}"
    INTERFACE_LINK_OPTIONS "-Wl,-rpath,${_libdir}")
endif()
