// What an agent's state folder says to other processes.
#include "worker/agent/state_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/ids.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

using ::testing::HasSubstr;

TEST(StateDirTest, TellsASessionThatLivesFromOneThatDoesNot) {
  const std::string path = ::testing::TempDir() + "/state-dir-" + base::RandomHex(6);
  EXPECT_THAT(std::string(StateDir::CheckSession(path, absl::Now()).message()), HasSubstr("No agent"));
  {
    const auto state = StateDir::Open(path);
    ASSERT_TRUE(state.ok()) << state.status();
    EXPECT_FALSE(StateDir::CheckSession(path, absl::Now()).ok());  // not registered yet
    const absl::Time now = absl::Now();
    state->NoteSession(absl::Seconds(6));
    EXPECT_TRUE(StateDir::CheckSession(path, now + absl::Seconds(9)).ok());
    EXPECT_THAT(std::string(StateDir::CheckSession(path, now + absl::Seconds(12)).message()),
                HasSubstr("has not answered"));
    state->NoteSession(absl::Seconds(60));
    EXPECT_TRUE(StateDir::CheckSession(path, now + absl::Seconds(50)).ok());
    EXPECT_FALSE(StateDir::CheckSession(path, now + absl::Seconds(70)).ok());
    absl::SleepFor(absl::Milliseconds(20));
    const absl::Time answer = absl::Now();
    state->NoteAnswer();
    EXPECT_TRUE(StateDir::CheckSession(path, answer + absl::Seconds(60) - absl::Milliseconds(15)).ok());
    state->NoteEnd();
    EXPECT_FALSE(StateDir::CheckSession(path, now).ok());
    state->NoteAnswer();  // nothing comes of an answer after the end
    EXPECT_FALSE(StateDir::CheckSession(path, now).ok());
  }
  RemoveTree(path);
}

}  // namespace
}  // namespace strata::agent
