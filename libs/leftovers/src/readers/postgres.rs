//! Every row of every table of a database, the catalogue's too (its statistics hold values), as a superuser sees it.

use std::str::FromStr;

use futures::TryStreamExt as _;
use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};

use crate::Search;

/// How much of a table is looked at at once, in bytes. Rows are not split.
const BLOCK: usize = 1 << 20;

impl Search<'_> {
    /// Dumps every table and materialised view of the database at `url` twice: as text, and in the binary format, in
    /// which texts and `bytea` are as they are.
    ///
    /// # Errors
    /// When the database cannot be entered. A table that cannot be read is reported as unread.
    pub async fn postgres(&self, store: &str, url: &str) -> Result<(), sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?.application_name("lethe leftovers");
        let mut connection = PgConnection::connect_with(&options).await?;
        sqlx::raw_sql("set row_security = off; set statement_timeout = 0").execute(&mut connection).await?;
        let tables = sqlx::query(
            "select format('%I.%I', n.nspname, c.relname), current_database()::text from pg_class c
             join pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'm') and not pg_is_other_temp_schema(n.oid) and c.relispopulated
             order by 1",
        )
        .fetch_all(&mut connection)
        .await?;
        for row in tables {
            let (table, database): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let path = format!("{database} {table}");
            let text = self.copy(&mut connection, store, &path, &table, "text").await;
            let binary = self.copy(&mut connection, store, &path, &table, "binary").await;
            match (text, binary) {
                (Ok(rows), _) => self.count(|looked| {
                    looked.tables += 1;
                    looked.rows += rows;
                }),
                (Err(error), _) => {
                    // Dropped since it was listed?
                    let there = sqlx::query("select to_regclass($1) is not null").bind(&table);
                    if there.fetch_one(&mut connection).await?.try_get(0)? {
                        self.unread(store, &path, error.to_string());
                    }
                }
            }
        }
        connection.close().await
    }

    async fn copy(
        &self,
        connection: &mut PgConnection,
        store: &str,
        path: &str,
        table: &str,
        format: &str,
    ) -> Result<u64, sqlx::Error> {
        let statement = format!("copy (select * from only {table}) to stdout (format {format})");
        let mut rows = connection.copy_out_raw(&statement).await?;
        let (mut block, mut count) = (Vec::with_capacity(BLOCK), 0);
        while let Some(row) = rows.try_next().await? {
            count += 1;
            block.extend_from_slice(&row);
            if block.len() >= BLOCK {
                self.bytes(store, path, &block);
                block.clear();
            }
        }
        self.bytes(store, path, &block);
        Ok(count)
    }
}
