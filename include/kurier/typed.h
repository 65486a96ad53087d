/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/typed.h>: events with a type of their own. A field list (<kurier/fields.h>) and a name on the wire give the
 * struct, its descriptor, and functions to publish and to handle it:
 *
 *     KUR_EVENT(order_created, "shop.order.created", 1, ORDER_CREATED);            // in a header
 *     KUR_EVENT_DEFINE(order_created, ORDER_CREATED, .topic = "orders");           // in one C file
 *
 * gives, beside what KUR_RECORD gives:
 *
 *     kur_status order_created_publish(producer, &event, options or NULL, &error);
 *     kur_status order_created_publish_wait(producer, &event, options or NULL, timeout_ms, &result or NULL, &error);
 *     kur_status order_created_read(&view, arena, &event, &error);
 *     typedef kur_outcome order_created_handler(kur_delivery *, const struct order_created *, void *user);
 *     kur_status order_created_on(listener, handler, user);
 *     typedef kur_outcome order_created_batch_handler(kur_delivery *const *, const struct order_created *events,
 *                                                     kur_outcome *outcomes, size_t count, void *user);
 *     kur_status order_created_on_batch(listener, handler, user);
 *     kur_status order_created_emit(delivery, &event, &error);
 *     kur_status order_created_outbox(outbox, transaction, &event, options or NULL, &error);
 *     typedef kur_outcome order_created_inbox_handler(kur_delivery *, void *transaction, const struct order_created *,
 *                                                     void *user);
 *     kur_status order_created_inbox(inbox, handler, user);
 *
 * This is the one header that names every layer, by declarations only: a function that a program does not use asks for
 * no library. On the wire the type is "shop.order.created.v1": the version is the major one, which additions keep.
 */
#ifndef KURIER_TYPED_H
#define KURIER_TYPED_H

#include <kurier/error.h>
#include <kurier/fields.h>
#include <kurier/outcome.h>

KUR_BEGIN_DECLS

/** @cond declared where they are documented */
struct kur_event_view;
struct kur_publish_options;
struct kur_result;
typedef struct kur_producer kur_producer;
typedef struct kur_listener kur_listener;
typedef struct kur_delivery kur_delivery;
typedef struct kur_outbox kur_outbox;
typedef struct kur_inbox kur_inbox;
/** @endcond */

/** Any function; called only after a cast back to its own type. */
typedef void kur_function(void);

/** Generated: calls `handler`, cast back, with `event` as the type that it expects. */
typedef kur_outcome kur_handler_invoke(kur_function *handler, kur_delivery *delivery, const void *event, void *user);

/** Likewise for a batch: `events` is an array of the handler's own type. */
typedef kur_outcome kur_batch_invoke(kur_function *handler, kur_delivery *const *deliveries, const void *events,
                                     kur_outcome *outcomes, size_t count, void *user);

/** Likewise for an inbox: with the transaction that is open. */
typedef kur_outcome kur_inbox_invoke(kur_function *handler, kur_delivery *delivery, void *transaction,
                                     const void *event, void *user);

/** @cond <kurier/producer.h>, <kurier/event.h> and <kurier/outbox.h> document these. */
KUR_API kur_status kur_producer_publish(kur_producer *producer, const kur_type *type, const void *event,
                                        const struct kur_publish_options *options, kur_error *error);
KUR_API kur_status kur_producer_publish_wait(kur_producer *producer, const kur_type *type, const void *event,
                                             const struct kur_publish_options *options, int timeout_ms,
                                             struct kur_result *result, kur_error *error);
KUR_API kur_status kur_event_decode(const struct kur_event_view *view, const kur_type *type, kur_arena *arena,
                                    void *event, kur_error *error);
KUR_API kur_status kur_outbox_publish(kur_outbox *outbox, void *transaction, const kur_type *type, const void *event,
                                      const struct kur_publish_options *options, kur_error *error);
/** @endcond */

/**
 * Registers a handler: what order_created_on calls. libkurier-patterns defines it. One thread, before start.
 * KUR_ERROR_INVALID_STATE after start or when the type has a handler, KUR_ERROR_TOO_LARGE for more than 64. A failed
 * registration is kept by the listener and returned by its start or run as well.
 */
KUR_API kur_status kur_listener_on(kur_listener *listener, const kur_type *type, kur_handler_invoke *invoke,
                                   kur_function *handler, void *user);

/**
 * Registers a handler of batches (see kur_batch_handler in <kurier/delivery.h>): what order_created_on_batch calls.
 * `events[i]` is decoded from `deliveries[i]`; what cannot be decoded is rejected by itself and does not come in. As
 * kur_listener_on.
 */
KUR_API kur_status kur_listener_on_type_batch(kur_listener *listener, const kur_type *type, kur_batch_invoke *invoke,
                                              kur_function *handler, void *user);

/**
 * Publishes as part of handling: what order_created_emit calls. libkurier-patterns defines it. In the handler, on its
 * thread. What kur_producer_publish returns for encoding it, KUR_ERROR_CONFIG for a type without a topic,
 * KUR_ERROR_INVALID_STATE after kur_delivery_defer, KUR_ERROR_TOO_LARGE for more than 64 events.
 */
KUR_API kur_status kur_delivery_emit(kur_delivery *delivery, const kur_type *type, const void *event, kur_error *error);

/**
 * Registers a handler of an inbox: what order_created_inbox calls. libkurier-patterns defines it. Before the start, as
 * kur_listener_on, whose statuses it returns; a failed registration is kept by the listener.
 */
KUR_API kur_status kur_inbox_on(kur_inbox *inbox, const kur_type *type, kur_inbox_invoke *invoke, kur_function *handler,
                                void *user);

KUR_END_DECLS

/** Declares an event: everything of KUR_RECORD, and the functions above. `version` is 1 or more. */
#define KUR_EVENT(name, wire_name, version_, list)                                                                     \
    KUR_RECORD(name, list);                                                                                            \
    KUR__UNUSED static const char name##__KUR_EVENT_type[] = wire_name;                                                \
    enum {                                                                                                             \
        name##__KUR_EVENT_version = version_                                                                           \
    };                                                                                                                 \
    KUR__UNUSED static inline kur_status name##_publish(kur_producer *producer, const struct name *event,              \
                                                        const struct kur_publish_options *options, kur_error *error)   \
    {                                                                                                                  \
        return kur_producer_publish(producer, &name##_type, event, options, error);                                    \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_publish_wait(                                                          \
        kur_producer *producer, const struct name *event, const struct kur_publish_options *options, int timeout_ms,   \
        struct kur_result *result, kur_error *error)                                                                   \
    {                                                                                                                  \
        return kur_producer_publish_wait(producer, &name##_type, event, options, timeout_ms, result, error);           \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_read(const struct kur_event_view *view, kur_arena *arena,              \
                                                     struct name *event, kur_error *error)                             \
    {                                                                                                                  \
        return kur_event_decode(view, &name##_type, arena, event, error);                                              \
    }                                                                                                                  \
    typedef kur_outcome name##_handler(kur_delivery *delivery, const struct name *event, void *user);                  \
    KUR__UNUSED static inline kur_outcome name##__invoke(kur_function *handler, kur_delivery *delivery,                \
                                                         const void *event, void *user)                                \
    {                                                                                                                  \
        return ((name##_handler *)handler)(delivery, (const struct name *)event, user);                                \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_on(kur_listener *listener, name##_handler *handler, void *user)        \
    {                                                                                                                  \
        return kur_listener_on(listener, &name##_type, name##__invoke, (kur_function *)handler, user);                 \
    }                                                                                                                  \
    typedef kur_outcome name##_batch_handler(kur_delivery *const *deliveries, const struct name *events,               \
                                             kur_outcome *outcomes, size_t count, void *user);                         \
    KUR__UNUSED static inline kur_outcome name##__invoke_batch(kur_function *handler, kur_delivery *const *deliveries, \
                                                               const void *events, kur_outcome *outcomes,              \
                                                               size_t count, void *user)                               \
    {                                                                                                                  \
        return ((name##_batch_handler *)handler)(deliveries, (const struct name *)events, outcomes, count, user);      \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_on_batch(kur_listener *listener, name##_batch_handler *handler,        \
                                                         void *user)                                                   \
    {                                                                                                                  \
        return kur_listener_on_type_batch(listener, &name##_type, name##__invoke_batch, (kur_function *)handler,       \
                                          user);                                                                       \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_emit(kur_delivery *delivery, const struct name *event,                 \
                                                     kur_error *error)                                                 \
    {                                                                                                                  \
        return kur_delivery_emit(delivery, &name##_type, event, error);                                                \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_outbox(kur_outbox *outbox, void *transaction,                          \
                                                       const struct name *event,                                       \
                                                       const struct kur_publish_options *options, kur_error *error)    \
    {                                                                                                                  \
        return kur_outbox_publish(outbox, transaction, &name##_type, event, options, error);                           \
    }                                                                                                                  \
    typedef kur_outcome name##_inbox_handler(kur_delivery *delivery, void *transaction, const struct name *event,      \
                                             void *user);                                                              \
    KUR__UNUSED static inline kur_outcome name##__invoke_inbox(kur_function *handler, kur_delivery *delivery,          \
                                                               void *transaction, const void *event, void *user)       \
    {                                                                                                                  \
        return ((name##_inbox_handler *)handler)(delivery, transaction, (const struct name *)event, user);             \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_inbox(kur_inbox *inbox, name##_inbox_handler *handler, void *user)     \
    {                                                                                                                  \
        return kur_inbox_on(inbox, &name##_type, name##__invoke_inbox, (kur_function *)handler, user);                 \
    }                                                                                                                  \
    struct name

/** Gives an event its descriptor; once in a program, in C. `.topic` is where it goes unless told otherwise. */
#define KUR_EVENT_DEFINE(...) KUR__EVENT_DEFINE(__VA_ARGS__, )
#define KUR__EVENT_DEFINE(name, list, ...)                                                                             \
    KUR__RECORD_DEFINE(name, list, .event_type = name##__KUR_EVENT_type, .version = name##__KUR_EVENT_version,         \
                       __VA_ARGS__)

#endif
