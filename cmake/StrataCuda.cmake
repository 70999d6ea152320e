# CUDA's compiler for our own kernels (model/layers/*.cu). They include nothing of LibTorch, and link its CUDA runtime.
#
# Served are the GPUs that both CUDA 13 and the torch 2.11 wheel serve: Turing (7.5), Ampere (8.0, 8.6), Ada (8.9, as 8.6),
# Hopper (9.0), Blackwell (10.0, 12.0), and by the last one's PTX what comes after (docs/GPU.md).
set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120 CACHE STRING "GPUs that our kernels are compiled for")
if(NOT CMAKE_CUDA_COMPILER)
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS $ENV{CUDA_HOME}/bin PATHS /usr/local/cuda/bin /opt/cuda/bin)
endif()
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "nvcc was not found. Install CUDA 13's toolkit and set CUDA_HOME, or give -DCMAKE_CUDA_COMPILER=<nvcc>.")
endif()
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
enable_language(CUDA)
