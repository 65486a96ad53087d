/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/access.h>: who may do what, as a cluster's authorizer has it. Blocking, threads, views in an arena and what
 * every call may return besides: as <kurier/admin.h> says.
 */
#ifndef KURIER_ACCESS_H
#define KURIER_ACCESS_H

#include <kurier/admin.h>

KUR_BEGIN_DECLS

/** What a right is about. The numbers of this and the next three are Kafka's. */
typedef enum kur_acl_resource {
    KUR_ACL_TOPIC = 2,
    KUR_ACL_GROUP = 3,
    KUR_ACL_CLUSTER = 4,          /**< its name is "kafka-cluster" */
    KUR_ACL_TRANSACTIONAL_ID = 5, /**< librdkafka 2.6 or later, else KUR_ERROR_UNSUPPORTED */
    KUR_ACL_OTHER = 100           /**< in lists: one that this librdkafka does not know */
} kur_acl_resource;

/** How its name is meant. */
typedef enum kur_acl_pattern {
    KUR_ACL_LITERAL = 3, /**< this name; "*" is every name */
    KUR_ACL_PREFIXED = 4 /**< names that begin so */
} kur_acl_pattern;

/** What may be done, or may not. */
typedef enum kur_acl_operation {
    KUR_ACL_ALL = 2,
    KUR_ACL_READ,
    KUR_ACL_WRITE,
    KUR_ACL_CREATE,
    KUR_ACL_DELETE,
    KUR_ACL_ALTER,
    KUR_ACL_DESCRIBE,
    KUR_ACL_CLUSTER_ACTION,
    KUR_ACL_DESCRIBE_CONFIGS,
    KUR_ACL_ALTER_CONFIGS,
    KUR_ACL_IDEMPOTENT_WRITE
} kur_acl_operation;

/** Whether it may be done; one KUR_ACL_DENY counts more than any KUR_ACL_ALLOW. */
typedef enum kur_acl_permission {
    KUR_ACL_DENY = 2,
    KUR_ACL_ALLOW = 3
} kur_acl_permission;

/**
 * Who may do what. Made: pattern, host and permission left out are KUR_ACL_LITERAL, "*" (every host) and
 * KUR_ACL_ALLOW. Looked for: what is left out may be anything. Arrays of them are walked by the `size` of the first.
 */
typedef struct kur_acl {
    size_t size;
    kur_acl_resource resource;
    kur_acl_pattern pattern;
    const char *name;      /**< of the topic, group, … */
    const char *principal; /**< "User:alice"; "User:*" is everyone */
    const char *host;      /**< an address */
    kur_acl_operation operation;
    kur_acl_permission permission;
} kur_acl;

#define KUR_ACL(...) KUR__OPTIONS(kur_acl, __VA_ARGS__)

/** Entries. */
typedef struct kur_acl_list {
    size_t count;
    const kur_acl *const *items;
} kur_acl_list;

/**
 * Makes entries, and returns when the broker that was asked has them; one that is already there is no error.
 * KUR_ERROR_UNSUPPORTED on the embedded broker, and where no authorizer is configured.
 */
KUR_API kur_status kur_admin_create_acls(kur_admin *admin, const kur_acl *acls, size_t count, int timeout_ms,
                                         kur_error *error);

/**
 * Entries that match; `match` NULL: all. librdkafka passes on no error here: a client that may not see them, and a
 * broker without an authorizer, get an empty list. KUR_ERROR_UNSUPPORTED on the embedded broker.
 */
KUR_API kur_status kur_admin_list_acls(kur_admin *admin, const kur_acl *match, int timeout_ms, kur_arena *arena,
                                       kur_acl_list *acls, kur_error *error);

/**
 * Deletes entries that match, and returns when the broker that was asked no longer has them. `match` names at least a
 * resource's name or a principal, so that not all go by mistake. `deleted` (may be NULL, and `arena` then too) tells
 * which. KUR_ERROR_UNSUPPORTED as kur_admin_create_acls.
 */
KUR_API kur_status kur_admin_delete_acls(kur_admin *admin, const kur_acl *match, int timeout_ms, kur_arena *arena,
                                         kur_acl_list *deleted, kur_error *error);

/**
 * Appends an entry for people: "allow User:alice read on topic orders". What is left out is "any".
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY with the buffer as it was. Any thread.
 */
KUR_API kur_status kur_acl_print(const kur_acl *acl, kur_buffer *buffer, kur_error *error);

KUR_END_DECLS

#endif
