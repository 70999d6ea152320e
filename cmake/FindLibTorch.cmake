# Finds LibTorch as the torch wheel or as the libtorch zip. The wheel's own TorchConfig.cmake is not used: it wants a CUDA
# toolkit on the machine even for programs that use the CPU only.
#
# Targets:
#   LibTorch::LibTorch   headers, libtorch_cpu, libc10; with STRATA_CUDA also libtorch_cuda, libc10_cuda and the CUDA runtime
#   LibTorch::C10dGloo   LibTorch, and what ProcessGroupGloo.hpp needs: gloo's headers, USE_C10D_GLOO
#   LibTorch::C10dNccl   (STRATA_CUDA only) LibTorch, and what ProcessGroupNCCL.hpp needs: NCCL, USE_C10D_NCCL
#
# Settings:
#   LIBTORCH_ROOT  folder that holds include/ and lib/ (the zip's libtorch/, the wheel's torch/), or the folder above it.
#                  Default: what deploy/setup installed.

if(DEFINED ENV{STRATA_DEPS})
  set(_deps $ENV{STRATA_DEPS})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(_deps $ENV{XDG_CACHE_HOME}/strata)
else()
  set(_deps $ENV{HOME}/.cache/strata)
endif()
set(LIBTORCH_ROOT "" CACHE PATH "Folder of LibTorch (wheel's torch/ or the zip's libtorch/)")
if(LIBTORCH_ROOT)
  set(_candidates ${LIBTORCH_ROOT} ${LIBTORCH_ROOT}/torch ${LIBTORCH_ROOT}/libtorch)
elseif(STRATA_CUDA)
  set(_candidates ${_deps}/libtorch-2.11.0-cuda/torch)
else()
  # The CUDA copy holds the CPU library as well.
  set(_candidates ${_deps}/libtorch-2.11.0-cpu/torch ${_deps}/libtorch-2.11.0-cuda/torch)
endif()

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${_candidates} PATH_SUFFIXES include NO_DEFAULT_PATH NO_CACHE)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CACHE)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CACHE)
set(_required LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR)

if(STRATA_CUDA)
  # The wheel keeps CUDA and NCCL in nvidia/ beside torch/; with the zip they are the machine's.
  set(_nvidia "")
  foreach(_candidate IN LISTS _candidates)
    list(APPEND _nvidia ${_candidate}/../nvidia/cu13 ${_candidate}/../nvidia/nccl)
  endforeach()
  set(_toolkit $ENV{CUDA_HOME} /usr/local/cuda /opt/cuda)
  find_library(LibTorch_CUDA_LIBRARY torch_cuda PATHS ${_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CACHE)
  find_library(LibTorch_C10_CUDA_LIBRARY c10_cuda PATHS ${_candidates} PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CACHE)
  find_library(LibTorch_CUDART_LIBRARY NAMES libcudart.so.13 cudart HINTS ${_nvidia} PATHS ${_toolkit}
               PATH_SUFFIXES lib lib64 NO_CACHE)
  find_library(LibTorch_NCCL_LIBRARY NAMES libnccl.so.2 nccl HINTS ${_nvidia} PATHS ${_toolkit}
               PATH_SUFFIXES lib lib64 NO_CACHE)
  # c10/cuda's headers include the runtime's, ATen/cuda's those of cuBLAS, cuSPARSE and cuSOLVER.
  find_path(LibTorch_CUDA_INCLUDE_DIR NAMES cuda_runtime_api.h HINTS ${_nvidia} PATHS ${_toolkit} PATH_SUFFIXES include NO_CACHE)
  find_path(LibTorch_NCCL_INCLUDE_DIR NAMES nccl.h HINTS ${_nvidia} PATHS ${_toolkit} PATH_SUFFIXES include NO_CACHE)
  list(APPEND _required LibTorch_CUDA_LIBRARY LibTorch_C10_CUDA_LIBRARY LibTorch_CUDART_LIBRARY LibTorch_NCCL_LIBRARY
       LibTorch_CUDA_INCLUDE_DIR LibTorch_NCCL_INCLUDE_DIR)
endif()

set(LibTorch_VERSION "")
if(LibTorch_INCLUDE_DIR)
  foreach(_header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(EXISTS ${LibTorch_INCLUDE_DIR}/${_header})
      file(STRINGS ${LibTorch_INCLUDE_DIR}/${_header} _lines
           REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
      string(REGEX REPLACE "[^0-9;]" "" _numbers "${_lines}")
      string(REPLACE ";" "." LibTorch_VERSION "${_numbers}")
      if(LibTorch_VERSION)
        break()
      endif()
    endif()
  endforeach()
endif()

if(STRATA_CUDA)
  set(_remedy "Run 'deploy/setup --cuda'")
else()
  set(_remedy "Run 'deploy/setup'")
endif()
list(JOIN _candidates ", " _looked)
foreach(_name IN LISTS _required)
  if(NOT ${_name} AND LibTorch_FIND_REQUIRED)
    message(FATAL_ERROR "LibTorch was not found (${_name} is missing). Looked in: ${_looked}. ${_remedy}, "
                        "or give -DLIBTORCH_ROOT=<folder with include/ and lib/>.")
  endif()
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS ${_required}
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "Looked in: ${_looked}. ${_remedy}.")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  get_filename_component(_libdir ${LibTorch_CPU_LIBRARY} DIRECTORY)
  set(_includes ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
  set(_libraries ${LibTorch_CPU_LIBRARY} ${LibTorch_C10_LIBRARY})
  set(_link_options -Wl,-rpath,${_libdir})
  if(STRATA_CUDA)
    list(APPEND _includes ${LibTorch_CUDA_INCLUDE_DIR})
    # libtorch_cuda registers its kernels when it is loaded, so it is linked though no symbol of it may be named.
    list(APPEND _libraries -Wl,--push-state,--no-as-needed ${LibTorch_CUDA_LIBRARY} -Wl,--pop-state
         ${LibTorch_C10_CUDA_LIBRARY} ${LibTorch_CUDART_LIBRARY})
    # Its own libraries (cuDNN, cuSPARSELt, NVSHMEM ...) are found by its rpath when it runs; the linker needs no look at them.
    list(APPEND _link_options -Wl,--allow-shlib-undefined)
  endif()
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  set_target_properties(LibTorch::LibTorch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${_includes}"
    INTERFACE_LINK_LIBRARIES "${_libraries}"
    INTERFACE_LINK_OPTIONS "${_link_options}")

  # ProcessGroupGloo is inside libtorch_cpu; only the headers are missing from the wheel. libgloo itself is never linked.
  find_path(LibTorch_GLOO_INCLUDE_DIR gloo/context.h HINTS ${LibTorch_INCLUDE_DIR} ${STRATA_BUNDLED_INCLUDE_DIR} NO_CACHE)
  if(LibTorch_GLOO_INCLUDE_DIR)
    add_library(LibTorch::C10dGloo INTERFACE IMPORTED)
    set_target_properties(LibTorch::C10dGloo PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES ${LibTorch_GLOO_INCLUDE_DIR}
      INTERFACE_COMPILE_DEFINITIONS USE_C10D_GLOO
      INTERFACE_LINK_LIBRARIES LibTorch::LibTorch)
  else()
    message(FATAL_ERROR "Gloo's headers (gloo/context.h) were not found. Run 'deploy/setup', or install libgloo-dev.")
  endif()

  if(STRATA_CUDA)
    add_library(LibTorch::C10dNccl INTERFACE IMPORTED)
    set_target_properties(LibTorch::C10dNccl PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES ${LibTorch_NCCL_INCLUDE_DIR}
      INTERFACE_COMPILE_DEFINITIONS USE_C10D_NCCL
      INTERFACE_LINK_LIBRARIES "LibTorch::LibTorch;-Wl,--push-state,--no-as-needed;${LibTorch_NCCL_LIBRARY};-Wl,--pop-state")
  endif()
endif()
