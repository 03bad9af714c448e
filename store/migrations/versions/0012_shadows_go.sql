-- Shadows are pruned as predictions are, and before them; while one may still be judged by answers that come, it stays. Until now
-- none ever went, and the rows that a shadow was made from could not go either. The functions' texts are edited and not given
-- anew, so that nothing else in them is said twice.
DO $$ DECLARE text_now text := pg_get_functiondef('overnight.kept_because'::regproc);
BEGIN
    IF strpos(text_now, 'IF b.kind = ''prediction'' THEN RETURN NULL; END IF;') = 0 THEN
        RAISE EXCEPTION 'overnight.kept_because is not the function that this migration knows';
    END IF;
    EXECUTE replace(text_now, 'IF b.kind = ''prediction'' THEN RETURN NULL; END IF;',
        'IF b.kind = ''shadow'' AND NOT EXISTS (SELECT FROM overnight.quality q WHERE q.batch = b.id)
            AND EXISTS (SELECT FROM overnight.pointer i WHERE i.batch = b.input_batch)
            AND b.interval_start > moment - (SELECT coalesce(p.definition -> ''model'' ->> ''window'', ''60 days'')::interval
                FROM overnight.pipeline p WHERE p.name = b.pipeline) THEN
        RETURN ''its answers may still come'';
    END IF;
    IF b.kind <> ''input'' THEN RETURN NULL; END IF;');
END $$;

DO $$ DECLARE text_now text := pg_get_functiondef('overnight.pruning_plan'::regproc);
BEGIN
    IF strpos(text_now, '(''prediction'', ''rows'', ''predictions''),') = 0 THEN
        RAISE EXCEPTION 'overnight.pruning_plan is not the function that this migration knows';
    END IF;
    EXECUTE replace(text_now, '(''prediction'', ''rows'', ''predictions''),',
        '(''prediction'', ''rows'', ''predictions''), (''shadow'', ''rows'', ''predictions''),');
END $$;
