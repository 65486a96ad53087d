/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "kafka/connection.h"

/* Of KIP-848; librdkafka 2.0.2 has no names for them. */
enum {
    FENCED_MEMBER_EPOCH = 110,
    UNRELEASED_INSTANCE_ID = 111, /* the name of a static member that another one has */
    STALE_MEMBER_EPOCH = 113
};

kur_status kur__status_of_kafka(rd_kafka_resp_err_t code)
{
    if ((int)code == UNRELEASED_INSTANCE_ID)
        return KUR_ERROR_FENCED;
    if ((int)code == FENCED_MEMBER_EPOCH || (int)code == STALE_MEMBER_EPOCH)
        return KUR_ERROR_NOT_COMMITTED;
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return KUR_OK;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return KUR_ERROR_TIMEOUT;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return KUR_ERROR_QUEUE_FULL;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        return KUR_ERROR_UNREACHABLE;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        return KUR_ERROR_AUTHENTICATION;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return KUR_ERROR_AUTHORIZATION;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return KUR_ERROR_UNKNOWN_TOPIC;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE:
        return KUR_ERROR_TOO_LARGE;
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
        return KUR_ERROR_CANCELLED;
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        return KUR_ERROR_UNKNOWN_OUTCOME;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        return KUR_ERROR_FENCED;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
        return KUR_ERROR_NOT_COMMITTED;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return KUR_ERROR_GAP;
    case RD_KAFKA_RESP_ERR__FATAL:
        return KUR_ERROR_FATAL;
    case RD_KAFKA_RESP_ERR__STATE:
    case RD_KAFKA_RESP_ERR__CONFLICT:
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
    case RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP:
        return KUR_ERROR_INVALID_STATE;
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return KUR_ERROR_CONFIG;
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
        return KUR_ERROR_UNSUPPORTED;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return KUR_ERROR_INVALID_ARGUMENT;
    default:
        return KUR_ERROR_BROKER;
    }
}

/* What the broker gets over: who asks again later may well succeed. */
static bool is_passing(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:  /* it knows of a newer leader than we do */
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH: /* or we of a newer one, such as the first of a topic just made */
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__RETRY:
        return true;
    default:
        return false;
    }
}

kur_status kur_status_of_kafka(int32_t kafka_code)
{
    return kur__status_of_kafka((rd_kafka_resp_err_t)kafka_code);
}

kur_status kur__error_of_kafka(kur_error *error, rd_kafka_resp_err_t code, const char *what, ...)
{
    kur_status status = kur__status_of_kafka(code);
    if (error == NULL)
        return status;
    char text[400];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    const char *why = rd_kafka_err2str(code);
    bool is_said = strstr(text, why) != NULL; /* librdkafka's own texts end with it */
    const char *missing = kur__refusal_of_right(code);
    kur_error_set(error, status, "%s%s%s%s%s", text, is_said ? "" : ": ", is_said ? "" : why,
                  missing != NULL ? ": " : "", missing != NULL ? missing : "");
    error->retriable = error->retriable || is_passing(code);
    error->kafka_code = (int32_t)code;
    return status;
}
