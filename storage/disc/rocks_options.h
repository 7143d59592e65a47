#pragma once
// Every RocksDB option that is not left at its default, with the reason.
// Owner: open_disc_store.

#include "storage/api/store.h"
#include "storage/disc/disc_store.h"
#include "storage/disc/log_filter.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <memory>
#include <vector>

namespace warren::storage {

rocksdb::DBOptions database_options(const DiscOptions& options, bool fresh);

/// Column families in the order of their handles: one per keyspace, then RocksDB's "default",
/// which holds the store's own rows.
std::vector<rocksdb::ColumnFamilyDescriptor> column_families(
    const DiscOptions& options, std::shared_ptr<LogFilterFactory> log_filter,
    const std::shared_ptr<rocksdb::Cache>& cache);

}  // namespace warren::storage
