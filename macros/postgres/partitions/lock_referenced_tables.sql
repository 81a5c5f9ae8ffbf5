{% macro lock_referenced_tables(relation) -%}
    {#-
        PostgreSQL copies foreign keys to a partition that is attached, and locks what they refer to against writers. So these locks
        are taken in short attempts too, before readers of the table wait. A table of another role is left to the attaching itself.
    -#}
    do $lock_referenced_tables$
    declare
        referenced text;
    begin
        for referenced in
            select confrelid::regclass
            from pg_constraint
            where conrelid = {{ regclass_of(relation) }} and contype = 'f' and confrelid != conrelid
            group by confrelid
            order by confrelid
        loop
            begin
                execute format('lock table %s in share row exclusive mode', referenced);
            exception
                when insufficient_privilege then
                    null;
            end;
        end loop;
    end
    $lock_referenced_tables$
{%- endmacro %}
