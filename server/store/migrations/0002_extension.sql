-- Trials that go on from another's checkpoint, and what trainings cost, by the class of those that cost the same.

ALTER TABLE trials ADD COLUMN extended_from TEXT REFERENCES trials (name);
ALTER TABLE trials ADD COLUMN cost_class TEXT NOT NULL DEFAULT '';
ALTER TABLE trials ADD COLUMN seconds_per_update REAL;
CREATE INDEX trials_cost_class ON trials (cost_class) WHERE seconds_per_update IS NOT NULL;
