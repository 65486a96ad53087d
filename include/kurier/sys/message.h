/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/message.h>: an event as the message that a producer would send, without a producer: for what is kept
 * somewhere first.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_MESSAGE_H
#define KURIER_SYS_MESSAGE_H

#include <kurier/client.h>
#include <kurier/producer.h>

KUR_BEGIN_DECLS

/**
 * What kur_producer_publish would send, with all headers in their order; everything in it is in `arena`, is borrowed
 * from `type` or `options`, or is static. Set message->size. It is .verbatim, for the envelope's headers come on top of
 * the caller's, of which there are at most 1,000. What kur_producer_publish returns for its arguments, without
 * KUR_ERROR_TOO_LARGE: that is kur_message_check's. Any thread.
 */
KUR_API kur_status kur_message_write(kur_client *client, const kur_type *type, const void *event,
                                     const kur_publish_options *options, kur_arena *arena, kur_message *message,
                                     kur_error *error);

/** Likewise what kur_producer_publish_raw would send; the message may borrow `data`. Any thread. */
KUR_API kur_status kur_message_write_raw(kur_client *client, const char *event_type, kur_bytes data,
                                         const kur_publish_options *options, kur_arena *arena, kur_message *message,
                                         kur_error *error);

/**
 * Whether a producer would take a message: what kur_producer_send says of its arguments without sending it, with
 * `record_bytes` as in kur_producer_options (0: its default). Any thread; does not wait.
 */
KUR_API kur_status kur_message_check(const kur_message *message, int64_t record_bytes, kur_error *error);

KUR_END_DECLS

#endif
