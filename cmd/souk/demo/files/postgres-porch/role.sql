-- A role for an assistant: reads what you list, writes nothing, and is cut off after five seconds.
-- psql -v schema=shop -v password="'…'" -f role.sql
CREATE ROLE porch LOGIN PASSWORD :password NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 4;
ALTER ROLE porch SET default_transaction_read_only = on;
ALTER ROLE porch SET statement_timeout = '5s';
ALTER ROLE porch SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE porch SET work_mem = '16MB';
GRANT USAGE ON SCHEMA :"schema" TO porch;
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO porch;
-- Take back what it must not see:
-- REVOKE SELECT ON shop.salaries FROM porch;
