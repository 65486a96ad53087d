/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/kurier.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../support.h"

START_TEST(test_embedded_broker__topics_have_their_partitions)
{
    kur_error error = {0};
    kur_embedded_broker *broker = kur_embedded_broker_new(NULL, &error);
    ck_assert_msg(broker != NULL, "%s", error.message);
    ck_ok(kur_embedded_broker_topic(broker, "orders", 6, &error), error);
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = kur_embedded_broker_bootstrap_servers(broker)), &error);
    kur_producer *producer = kur_client_producer(client, &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    kur_message message = KUR_MESSAGE(.topic = "orders", .value = kur_bytes_text("v"), .partition = KUR_PARTITION(5));
    ck_ok(kur_producer_send_wait(producer, &message, 30000, NULL, &error), error);
    message.partition = KUR_PARTITION(6);
    ck_status(kur_producer_send_wait(producer, &message, 30000, NULL, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    kur_client_unref(client);
    kur_embedded_broker_free(broker);
}
END_TEST

START_TEST(test_embedded_broker__says_what_it_cannot_do)
{
    kur_error error = {0};
    ck_assert_ptr_null(kur_embedded_broker_new(&KUR_EMBEDDED_BROKER_OPTIONS(.brokers = -1), &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    ck_says(error, ".brokers");
    kur_embedded_broker *broker = kur_embedded_broker_new(&KUR_EMBEDDED_BROKER_OPTIONS(.brokers = 3), &error);
    ck_assert_ptr_nonnull(broker);
    ck_status(kur_embedded_broker_topic(broker, "no spaces", 1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "name");
    ck_status(kur_embedded_broker_topic(broker, "t", 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "partitions");
    ck_status(kur_embedded_broker_topic(broker, "t", 1001, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_ok(kur_embedded_broker_topic(broker, "t", 2, &error), error);
    ck_status(kur_embedded_broker_topic(broker, "t", 2, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "t");
    error = (kur_error){0};
    ck_status(kur_embedded_broker_topic(NULL, "t", 2, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "broker");
    error = (kur_error){0};
    ck_status(kur_embedded_broker_topic(broker, NULL, 2, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_ptr_null(kur_embedded_broker_bootstrap_servers(NULL));
    kur_embedded_broker_free(broker);
    kur_embedded_broker_free(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_embedded_broker__topics_have_their_partitions,
                                  test_embedded_broker__says_what_it_cannot_do, NULL};
    return check_main("embedded_broker", tests);
}
