-- The databases of the service and of the tool. Runs once, at the site that is active first; the other one copies it.
\set ON_ERROR_STOP on
\getenv epns_password EPNS_PASSWORD
\getenv replicator_password REPLICATOR_PASSWORD
\getenv backup_password BACKUP_PASSWORD
CREATE ROLE epns LOGIN PASSWORD :'epns_password';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replicator_password';
CREATE ROLE lpse_dr LOGIN;
-- Reads everything for a backup and writes nothing. Large objects know no such role; the last setting lets it read them too.
CREATE ROLE lpse_dr_backup LOGIN PASSWORD :'backup_password';
GRANT pg_read_all_data TO lpse_dr_backup;
ALTER ROLE lpse_dr_backup SET default_transaction_read_only = on;
ALTER ROLE lpse_dr_backup SET lo_compat_privileges = on;
GRANT pg_monitor TO lpse_dr;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text),
    pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
SELECT pg_create_physical_replication_slot('lpse_dr_{{ standby_site }}', true);
CREATE DATABASE epns_prod OWNER epns;
CREATE DATABASE epns_latihan OWNER epns;
CREATE DATABASE lpse_dr OWNER lpse_dr;
\connect epns_prod
SET ROLE epns;
CREATE SEQUENCE bid_number;
CREATE TABLE bid (
    id uuid PRIMARY KEY, tender text, vendor text, path text, size bigint, sha256 text, submitted_at timestamptz,
    number bigint DEFAULT nextval('bid_number') -- as it stands on a receipt: never two of one number
);
CREATE INDEX bid_submitted_at ON bid (submitted_at);
-- One row a pooled connection: the proof that each of them can write.
CREATE TABLE lpse_dr_prove (connection int PRIMARY KEY, at timestamptz NOT NULL);
\connect epns_latihan
SET ROLE epns;
CREATE TABLE bid (
    id uuid PRIMARY KEY, tender text, vendor text, path text, size bigint, sha256 text, submitted_at timestamptz
);
\connect lpse_dr
SET ROLE lpse_dr;
CREATE TABLE probe (at timestamptz, site text, n bigint);
CREATE TABLE marker (id uuid PRIMARY KEY, at timestamptz, site text);
