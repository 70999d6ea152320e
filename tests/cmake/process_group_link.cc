// The trainer's process groups in the CUDA build: Gloo adds up one rank's tensor; NCCL is asked for, and on a machine
// without a GPU must answer that there is none, which only code that is linked in can say. Run by tests/build-cuda.
#include <ATen/ATen.h>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "worker/trainer/process_group.h"

int main() {
  using strata::trainer::MakeProcessGroup;
  constexpr std::chrono::seconds kTimeout{30};
  const auto opened = strata::trainer::OpenStore("127.0.0.1", 1, kTimeout);

  const auto gloo = MakeProcessGroup(opened.store, 0, 1, at::Device("cpu"), "127.0.0.1", kTimeout);
  std::vector<at::Tensor> tensors = {at::full({2}, 3.0f)};
  gloo->allreduce(tensors)->wait();
  std::cout << "gloo: the sum over one rank is " << tensors[0].sum().item<float>() / 2 << "\n";

  try {
    MakeProcessGroup(opened.store, 0, 1, at::Device("cuda:0"), "127.0.0.1", kTimeout);
    std::cout << "nccl: the group stands\n";
  } catch (const std::exception& e) {
    const std::string words = e.what();
    std::cout << "nccl: " << words.substr(0, words.find('\n')) << "\n";
    return words.find("ProcessGroupNCCL") == std::string::npos ? 1 : 0;
  }
  return 0;
}
