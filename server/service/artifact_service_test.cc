// Uploads: in pieces, cut off, damaged, over a restart of the coordinator.
#include "server/service/artifact_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <filesystem>
#include <future>
#include <string>

#include "server/base/sha256.h"
#include "server/service/testing.h"

namespace strata::service {
namespace {

using ::testing::HasSubstr;

class UploadTest : public ::testing::Test {
 protected:
  UploadTest() {
    cluster_.AddDataset("tiny");
    cluster_.Submit(TestCluster::Spec(), "r1");
    cluster_.Register("w1");
    attempt_ = cluster_.Sync("w1").assignments(0).attempt();
    for (size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<char>(i * 2654435761u >> 24);
  }
  v1::StartUploadResponse Start(const std::string& hash) {
    v1::StartUploadRequest request;
    request.set_job(attempt_.job());
    request.set_attempt(attempt_.attempt());
    request.set_kind("checkpoint_final");
    request.set_sha256(hash);
    request.set_bytes(static_cast<int64_t>(content_.size()));
    request.set_file_name("final.safetensors");
    v1::StartUploadResponse response;
    grpc::ClientContext context;
    const grpc::Status status = cluster_.artifacts->StartUpload(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  grpc::Status Send(const std::string& upload, size_t offset, size_t bytes, bool flip = false) {
    v1::UploadChunkRequest request;
    request.set_upload_id(upload);
    request.set_offset(static_cast<int64_t>(offset));
    request.set_data(content_.substr(offset, bytes));
    request.set_xxh3(XXH3_64bits(request.data().data(), request.data().size()));
    if (flip) (*request.mutable_data())[bytes / 2] ^= 4;
    v1::UploadChunkResponse response;
    grpc::ClientContext context;
    return cluster_.artifacts->UploadChunk(&context, request, &response);
  }
  grpc::Status Finish(const std::string& upload, v1::Artifact* artifact) {
    v1::FinishUploadRequest request;
    request.set_upload_id(upload);
    grpc::ClientContext context;
    return cluster_.artifacts->FinishUpload(&context, request, artifact);
  }

  TestCluster cluster_;
  v1::AttemptRef attempt_;
  std::string content_ = std::string(3'000'000, '\0');
};

TEST_F(UploadTest, GoesOnWhereItStandsAfterACutADamagedChunkAndARestart) {
  const std::string hash = base::Sha256Hex(content_);
  const std::string upload = Start(hash).upload_id();
  EXPECT_TRUE(Send(upload, 0, 1'000'000).ok());
  EXPECT_EQ(Send(upload, 1'000'000, 500'000, /*flip=*/true).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(Send(upload, 1'200'000, 1000).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(Send(upload, 1'000'000, 500'000).ok());
  EXPECT_EQ(Send(upload, 1'000'000, 500'000).error_code(), grpc::StatusCode::FAILED_PRECONDITION);  // repeated
  v1::Artifact artifact;
  EXPECT_EQ(Finish(upload, &artifact).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  cluster_.Restart();
  EXPECT_EQ(Start(hash).upload_id(), upload);
  EXPECT_EQ(Start(hash).offset(), 1'500'000);
  EXPECT_TRUE(Send(upload, 1'500'000, 1'500'000).ok());
  cluster_.Restart();  // what was hashed is in no memory
  const grpc::Status finished = Finish(upload, &artifact);
  EXPECT_TRUE(finished.ok()) << finished.error_message();
  EXPECT_EQ(artifact.sha256(), hash);
  EXPECT_EQ(artifact.bytes(), 3'000'000);
  EXPECT_EQ(Start(hash).artifact().name(), artifact.name());
}

TEST_F(UploadTest, AChunkWaitsForTheOneBeforeItThatArrivedDamagedAndIsSentAgain) {
  const std::string hash = base::Sha256Hex(content_);
  const std::string upload = Start(hash).upload_id();
  std::future<grpc::Status> second = std::async(std::launch::async, [&] { return Send(upload, 1'000'000, 2'000'000); });
  EXPECT_EQ(Send(upload, 0, 1'000'000, /*flip=*/true).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_TRUE(Send(upload, 0, 1'000'000).ok());
  const grpc::Status status = second.get();
  EXPECT_TRUE(status.ok()) << status.error_message();
  v1::Artifact artifact;
  EXPECT_TRUE(Finish(upload, &artifact).ok());
  EXPECT_EQ(artifact.sha256(), hash);
}

TEST_F(UploadTest, WhoseFileWasDeletedIsBegunAgain) {
  const std::string upload = Start(base::Sha256Hex(content_)).upload_id();
  EXPECT_TRUE(Send(upload, 0, 1000).ok());
  std::filesystem::remove(cluster_.folder() + "/uploads/" + upload);
  const grpc::Status status = Send(upload, 0, 1000);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("Begin it again with StartUpload"));
}

TEST_F(UploadTest, WhatHasAnotherHashIsDroppedAndCanBeSentAnew) {
  const std::string wrong = base::Sha256Hex("something else");
  const std::string upload = Start(wrong).upload_id();
  EXPECT_TRUE(Send(upload, 0, content_.size()).ok());
  v1::Artifact artifact;
  const grpc::Status status = Finish(upload, &artifact);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_THAT(status.error_message(), HasSubstr(base::Sha256Hex(content_)));
  EXPECT_EQ(Finish(upload, &artifact).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Start(wrong).offset(), 0);
}

TEST_F(UploadTest, AChunkHasItsLimit) {
  content_.resize(static_cast<size_t>(kLargestChunk) + 1);
  const std::string upload = Start(base::Sha256Hex(content_)).upload_id();
  EXPECT_EQ(Send(upload, 0, content_.size()).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(Send(upload, 0, content_.size() - 1).ok());
  EXPECT_TRUE(Send(upload, content_.size() - 1, 1).ok());
  v1::Artifact artifact;
  EXPECT_TRUE(Finish(upload, &artifact).ok());
}

}  // namespace
}  // namespace strata::service
