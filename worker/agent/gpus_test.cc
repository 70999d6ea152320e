// Slots of GPUs, their readings, errors and loss, over a library that stands for NVML; and what limits a trainer's
// memory.
#include "worker/agent/gpus.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "worker/agent/agent_testing.h"
#include "worker/agent/devices.h"

namespace strata::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr char kLibrary[] = STRATA_BINARY_DIR "/tests/fake_nvml.so";

class GpusTest : public AgentTest {
 protected:
  void SetUp() override {
    AgentTest::SetUp();
    std::filesystem::create_directories(folder_);
    ::setenv("STRATA_FAKE_NVML", path().c_str(), 1);
    for (int i = 0; i < 2; ++i) {
      machine_["gpus"].push_back({{"name", "NVIDIA H100"},
                                  {"uuid", absl::StrCat("GPU-", i, "aaa-1")},
                                  {"memory", 80LL << 30},
                                  {"used", 3LL << 30},
                                  {"utilisation", 75},
                                  {"celsius", 61},
                                  {"milliwatts", 512500},
                                  {"mig", 0}});
    }
    Write();
  }
  std::string path() const { return folder_ + "/nvml.json"; }
  void Write() {  // renamed: the library reads it at any moment
    std::ofstream(path() + ".new") << machine_.dump();
    std::filesystem::rename(path() + ".new", path());
  }
  json& Gpu(int index) { return machine_["gpus"][static_cast<size_t>(index)]; }
  std::unique_ptr<GpuWatch> Watch(std::function<void()> lost = nullptr) {
    auto found = FindGpus(kLibrary, nullptr);
    EXPECT_TRUE(found.ok()) << found.status();
    return std::make_unique<GpuWatch>(std::move(found->nvml), found->gpus,
                                      GpuWatch::Options{.read_every = absl::Milliseconds(20),
                                                        .wait = absl::Milliseconds(10),
                                                        .withdraw_after = absl::Milliseconds(50)},
                                      std::move(lost));
  }
  static std::vector<std::string> Names(const absl::StatusOr<Devices>& devices) {
    std::vector<std::string> names;
    if (!devices.ok()) return {std::string(devices.status().message())};
    for (const Slot& slot : devices->slots) names.push_back(slot.uuid.empty() ? slot.device : slot.uuid);
    return names;
  }
  static std::string Refusal(const absl::StatusOr<Devices>& devices) { return std::string(devices.status().message()); }
  static absl::StatusOr<Devices> Choose(const std::string& device, int slots = 0, const char* visible = nullptr,
                                        const std::string& library = kLibrary) {
    return ChooseDevices({.device = device, .slots = slots, .cores = "0", .nvml_library = library}, visible);
  }

  json machine_ = {{"gpus", json::array()}};
};

TEST_F(GpusTest, ASlotIsAGpuWithItsNameMemoryUuidAndCores) {
  const auto devices = Choose("auto");
  ASSERT_TRUE(devices.ok()) << devices.status();
  ASSERT_THAT(devices->slots, SizeIs(2));
  EXPECT_EQ(devices->slots[1].index, 1);
  EXPECT_EQ(devices->slots[1].device, "NVIDIA H100");
  EXPECT_EQ(devices->slots[1].uuid, "GPU-1aaa-1");
  EXPECT_EQ(devices->slots[1].memory_bytes, 80LL << 30);
  EXPECT_THAT(devices->slots[1].cores, ElementsAre(0));
}

TEST_F(GpusTest, TheFlagsSayWhetherGpusOrCoresAreOffered) {
  for (const auto& [device, slots, visible, names] :
       std::vector<std::tuple<std::string, int, const char*, std::vector<std::string>>>{
           {"auto", 0, nullptr, {"GPU-0aaa-1", "GPU-1aaa-1"}},
           {"auto", 2, nullptr, {"cpu", "cpu"}},
           {"cpu", 0, nullptr, {"cpu"}},
           {"gpu", 1, nullptr, {"GPU-0aaa-1"}},
           {"auto", 0, "1", {"GPU-1aaa-1"}},
           {"auto", 0, "GPU-1aa", {"GPU-1aaa-1"}},
           {"auto", 0, "-1,0", {"cpu"}},
           {"auto", 0, "", {"cpu"}}}) {
    EXPECT_EQ(Names(Choose(device, slots, visible)), names) << device << slots << (visible ? visible : "-");
  }
  EXPECT_THAT(Refusal(Choose("gpu", 3)), HasSubstr("--slots: 3, but 2 GPUs"));
  EXPECT_THAT(Refusal(Choose("gpu", 0, "")), HasSubstr("CUDA_VISIBLE_DEVICES"));
  EXPECT_THAT(Refusal(Choose("tpu")), HasSubstr("Use auto, gpu or cpu"));
  EXPECT_THAT(Refusal(Choose("cpu", 2000)), HasSubstr("not between 1 and 1024"));
}

TEST_F(GpusTest, WithoutTheLibraryThereAreCpuSlots) {
  EXPECT_THAT(Names(Choose("auto", 0, nullptr, "libno-such-nvml.so.1")), ElementsAre("cpu"));
  EXPECT_THAT(Refusal(Choose("gpu", 0, nullptr, "libno-such-nvml.so.1")), HasSubstr("There is no NVML"));
}

TEST_F(GpusTest, WhatCannotBeUsedIsNotOfferedAndSaysWhy) {
  machine_["init"] = 18;
  Write();
  EXPECT_THAT(Names(Choose("auto")), ElementsAre("cpu"));
  EXPECT_THAT(Refusal(Choose("gpu")), HasSubstr("Driver/library version mismatch. The driver was updated"));
  machine_["init"] = 0;
  Gpu(0)["error"] = 15;
  Write();
  EXPECT_THAT(Names(Choose("auto")), ElementsAre("GPU-1aaa-1"));
  Gpu(1)["mig"] = 1;
  Write();
  EXPECT_THAT(Refusal(Choose("gpu")), HasSubstr("GPU 0 is lost (GPU is lost)"));
  EXPECT_THAT(Refusal(Choose("gpu")), HasSubstr("nvidia-smi -i 1 -mig 0"));
  // A library that is something else.
  EXPECT_THAT(Refusal(Choose("gpu", 0, nullptr, "libm.so.6")), HasSubstr("has no nvmlInit_v2"));
}

TEST_F(GpusTest, ReadingsFollowTheGpuAndAreAbsentWhereItTellsNone) {
  Gpu(1).erase("celsius");
  Write();
  const auto watch = Watch();
  const GpuView view = watch->View()[0];
  EXPECT_DOUBLE_EQ(view.reading.utilisation, 0.75);
  EXPECT_EQ(view.reading.memory_used, 3LL << 30);
  EXPECT_EQ(view.reading.memory_total, 80LL << 30);
  EXPECT_EQ(view.reading.celsius, 61);
  EXPECT_DOUBLE_EQ(view.reading.watts, 512.5);
  EXPECT_EQ(view.last_xid, 0);
  EXPECT_LT(watch->View()[1].reading.celsius, 0);
  Gpu(0)["celsius"] = 90;
  Write();
  EXPECT_TRUE(Soon([&] { return watch->View()[0].reading.celsius == 90; }));
}

TEST_F(GpusTest, AnErrorIsKeptAndNamedToWhatRanThen) {
  const auto watch = Watch();
  const absl::Time begun = absl::Now();
  machine_["xids"] = json::array({json::array({1, 31}), json::array({1, 48})});
  Write();
  EXPECT_TRUE(Soon([&] { return watch->View()[1].last_xid == 48; }));
  EXPECT_EQ(watch->View()[0].last_xid, 0);
  EXPECT_THAT(watch->TroubleSince("GPU-1aaa-1", begun), HasSubstr("XID 31"));
  EXPECT_THAT(watch->TroubleSince("GPU-1aaa-1", begun), HasSubstr("an uncorrectable memory error"));
  EXPECT_EQ(watch->TroubleSince("GPU-1aaa-1", absl::Now()), "");
  EXPECT_EQ(watch->TroubleSince("GPU-0aaa-1", begun), "");
}

TEST_F(GpusTest, AGpuThatIsLostIsWithdrawnOnceAndTheOthersStay) {
  std::atomic<int> lost{0};
  const auto watch = Watch([&] { ++lost; });
  Gpu(0)["error"] = 15;
  Write();
  EXPECT_TRUE(Soon([&] { return lost == 1; }));
  EXPECT_FALSE(watch->Usable("GPU-0aaa-1"));
  EXPECT_TRUE(watch->Usable("GPU-1aaa-1"));
  EXPECT_THAT(watch->TroubleSince("GPU-0aaa-1", absl::Now()), HasSubstr("is lost"));
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_EQ(lost, 1);
}

TEST_F(GpusTest, AGpuThatTellsNoErrorsIsReadAllTheSame) {
  Gpu(0)["quiet"] = Gpu(1)["quiet"] = true;
  Write();
  const auto watch = Watch();
  Gpu(1)["utilisation"] = 5;
  Write();
  EXPECT_TRUE(Soon([&] { return watch->View()[1].reading.utilisation == 0.05; }));
}

TEST_F(GpusTest, ATrainerSeesItsOwnGpuAndOnACpuSlotNone) {
  StartAgent();
  const TrainerOptions trainer{.program = "trainer"};
  const Assignment a{.id = {kJob, 1}};
  const auto visible = [&](const Slot& slot) {
    std::string value = "unset";
    for (const auto& [name, text] : TrainerCommand(trainer, *state_, a, {}, 0, slot).environment) {
      if (name == "CUDA_VISIBLE_DEVICES") value = text;
    }
    return value;
  };
  EXPECT_EQ(visible({.device = "NVIDIA H100", .uuid = "GPU-1aaa-1"}), "GPU-1aaa-1");
  EXPECT_EQ(visible({.device = "cpu"}), "");
}

TEST_F(GpusTest, AFailureNamesTheErrorOfItsGpu) {
  options_.slots = GpuSlots({{.index = 0, .name = "H100", .uuid = "GPU-0aaa-1"}}, {0});
  options_.gpu_trouble = [](const std::string& uuid, absl::Time) { return "Its GPU " + uuid + " told XID 79."; };
  StartAgent();
  Assign(Job(R"([["crash", 6]])"));
  const Completion end = Ended();
  EXPECT_EQ(end.cause, "crashed");
  EXPECT_THAT(end.message, HasSubstr("Rank 0: Its GPU GPU-0aaa-1 told XID 79. rank 0 of the trainer was ended"));
}

TEST_F(GpusTest, ATrainerThatHoldsTooMuchMemoryEndsAsOutOfMemory) {
  options_.memory_per_slot = 100 << 20;
  StartAgent();
  Assign(Job(R"([["allocate", 40], ["sleep", 100], ["allocate", 90], ["hang"]])"));
  const Completion end = Ended();
  EXPECT_EQ(end.outcome, "failed");
  EXPECT_EQ(end.cause, "out_of_memory");
  EXPECT_THAT(end.message, HasSubstr("--memory-per-slot of this worker allows 100 MiB"));
  EXPECT_FALSE(Alive(Events()[0]["pid"]));
}

TEST_F(GpusTest, ATrainerWithinItsMemoryIsLeftAlone) {
  options_.memory_per_slot = 800 << 20;  // a sanitizer needs several times what the trainer does
  StartAgent();
  Assign(Job(R"([["allocate", 40], ["sleep", 100], )" FINISHED "]"));
  EXPECT_EQ(Ended().outcome, "succeeded");
}

TEST_F(GpusTest, ALogStaysSmallOnDiskWhileTheCoordinatorIsAway) {
  const std::string log = folder_ + "/log";
  std::ofstream(log) << std::string(40 << 20, 'x') << "\nthe end\n";
  coordinator_.away = true;
  LogRelay relay(coordinator_, {kJob, 1}, {{0, log}}, true, folder_ + "/positions");
  EXPECT_FALSE(relay.Step(false).ok());
  struct stat info {};
  ASSERT_EQ(::stat(log.c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 18 << 20);
  EXPECT_EQ(info.st_size, (40 << 20) + 9);
  EXPECT_THAT(LastLines(log, 1, 100), HasSubstr("the end"));
  coordinator_.away = false;
}

TEST_F(GpusTest, TheKernelEndsATrainerBeforeTheAgent) {
  StartAgent();
  Assign(Job(R"([["wait"]])"));
  ASSERT_TRUE(Soon([&] { return !coordinator_.events[{{kJob, 1}, 0}].empty(); }));
  const int pid = Events()[0]["pid"];
  int score = 0, own = 0;
  std::ifstream(absl::StrCat("/proc/", pid, "/oom_score_adj")) >> score;
  std::ifstream("/proc/self/oom_score_adj") >> own;
  EXPECT_GT(score, own);
  coordinator_.With([&] { coordinator_.assigned.clear(); });
  EXPECT_TRUE(Soon([&] { return !Alive(pid); }));
}

}  // namespace
}  // namespace strata::agent
