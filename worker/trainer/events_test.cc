#include "worker/trainer/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <system_error>

#include "worker/trainer/failure.h"
#include "worker/trainer/testing.h"

namespace strata::trainer {
namespace {

class EventLogTest : public ::testing::Test {
 protected:
  std::string Contents() {
    std::stringstream text;
    text << std::ifstream(spool_).rdbuf();
    return text.str();
  }
  testing::ScratchFolder folder_;
  std::string spool_ = folder_ / "spool.jsonl";
};

TEST_F(EventLogTest, NumbersEventsFromOne) {
  EventLog log(spool_, 3, 1);
  log.Emit("warning", {{"message", "a"}});
  log.Emit("stopped", {{"update", 4}});
  const auto events = testing::ReadEvents(spool_);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].at("seq"), 1);
  EXPECT_EQ(events[1].at("seq"), 2);
  EXPECT_EQ(events[1].at("attempt"), 3);
  EXPECT_EQ(events[1].at("rank"), 1);
  EXPECT_EQ(events[1].at("type"), "stopped");
  EXPECT_THAT(events[1].at("time").get<std::string>(), ::testing::MatchesRegex("20..-..-..T..:..:..\\....Z"));
}

TEST_F(EventLogTest, GoesOnAfterTheLastWholeLineAndCutsATornOne) {
  for (const std::string torn : {"", "{\"seq\":3,\"att", "\n"}) {
    std::filesystem::remove(spool_);
    {
      EventLog log(spool_, 1, 0);
      log.Emit("warning", {{"message", "a"}});
      log.Emit("warning", {{"message", std::string(200'000, 'x')}});  // longer than one look at the file's end
    }
    if (torn == "\n") continue;
    std::ofstream(spool_, std::ios::app) << torn;
    EventLog log(spool_, 1, 0);
    log.Emit("stopped", {});
    const auto events = testing::ReadEvents(spool_);
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(events[2].at("seq"), 3);
  }
}

TEST_F(EventLogTest, AnotherAttemptCountsFromOne) {
  EventLog(spool_, 1, 0).Emit("stopped", {});
  EventLog log(spool_, 2, 0);
  log.Emit("stopped", {});
  EXPECT_EQ(testing::ReadEvents(spool_)[1].at("seq"), 1);
}

TEST_F(EventLogTest, OnlyATornLineIsAnEmptySpool) {
  std::ofstream(spool_) << "{\"seq\":";
  EventLog log(spool_, 1, 0);
  log.Emit("stopped", {});
  EXPECT_EQ(testing::ReadEvents(spool_).size(), 1u);
}

TEST_F(EventLogTest, RefusesAFileThatIsNoSpool) {
  std::ofstream(spool_) << "dear diary\n";
  EXPECT_THROW(EventLog(spool_, 1, 0), Failure);
  EXPECT_EQ(Contents(), "dear diary\n");
}

TEST_F(EventLogTest, AFullDiskIsAnErrorThatNamesTheSpool) {
  EventLog log("/dev/full", 1, 0);
  try {
    log.Emit("stopped", {});
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), ENOSPC);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("/dev/full"));
  }
  EXPECT_EQ(log.last_seq(), 0);
}

TEST(NumberJsonTest, WhatIsNotFiniteIsText) {
  EXPECT_EQ(NumberJson(NAN), "NaN");
  EXPECT_EQ(NumberJson(INFINITY), "Infinity");
  EXPECT_EQ(NumberJson(-INFINITY), "-Infinity");
  EXPECT_EQ(NumberJson(0.1).dump(), "0.1");
}

TEST(TimestampTest, IsUtcWithMilliseconds) { EXPECT_EQ(Timestamp(1763836245007), "2025-11-22T18:30:45.007Z"); }

}  // namespace
}  // namespace strata::trainer
